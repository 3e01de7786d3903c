"""When and where work is done: the one order that everything queues in, and the worker that follows it."""
