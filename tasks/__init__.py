"""One file a task: sensors → observation, command, reward terms, termination, preset."""
