"""Redis and Valkey: single servers, Sentinel, Cluster."""
