"""drydock: one program over any number of S3 inputs on Batch Spot, each settled exactly once."""

__version__ = "0.1.0"
