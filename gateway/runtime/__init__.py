"""What every process needs: logging, events, metrics, time-outs, periodic work, memory."""
