"""What any process needs: logging, metrics, time-outs, periodic work, memory."""
