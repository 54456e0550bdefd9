"""lstm_stream: streaming anomaly detection for fleets of IoT sensors."""

__version__ = "0.1.0"
