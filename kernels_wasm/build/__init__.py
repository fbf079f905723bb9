"""The build: catalogue, compiler and the JavaScript that is written for each kernel."""
