"""What runs in browsers: ``ringfence.js``, its types, the looks of its dialog."""
