"""Random input for the text readers, for a bounded time: ``make fuzz``."""
