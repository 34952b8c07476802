"""Records: every file that Potstill writes and reads back, each described once; nothing here needs PyTorch."""
