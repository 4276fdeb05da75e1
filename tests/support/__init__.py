"""What several tests use: made-up records, a scripted worker, drawn images."""
