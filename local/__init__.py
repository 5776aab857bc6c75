"""drydock on one machine: an embedded AWS that runs the project's own template."""
