"""From the broker to readings: the MQTT session, the inbox between threads, topics and payload formats."""
