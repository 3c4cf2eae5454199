"""What keeps a store small and sound: measuring, collecting garbage, checking. No build needs it to go on."""
