"""When and where work is done: slots that claim rows in the one order, and how far preparing may run ahead."""
