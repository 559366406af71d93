"""From a model directory to answers."""
