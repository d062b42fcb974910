"""Truth and predictions in files that other tools wrote, made ready to be measured."""
