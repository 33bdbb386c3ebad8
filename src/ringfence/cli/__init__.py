"""The command ``ringfence``."""
