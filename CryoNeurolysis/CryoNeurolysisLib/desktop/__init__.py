"""The Qt side of the module: adapters between the panel and the engine."""
