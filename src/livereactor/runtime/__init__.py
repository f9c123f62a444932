"""The process that holds one loaded model: authoring, the model's thread, outputs, the room, HTTP."""
