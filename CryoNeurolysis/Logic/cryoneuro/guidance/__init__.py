"""During the procedure: scans as they arrive, the plan laid over them, the probe as it lies, the ice as it grows."""
