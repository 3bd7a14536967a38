"""Device, threads and seeds; what the machine offers."""
