"""Dashboard: one sensor, what it shows beside what was expected."""

from panels import BAD, GOOD, WARN, Board, Json, ask, lines, number, says, states, style, variable

ALARM = {"0": ("none", GOOD), "1": ("open", BAD)}


def sensor() -> Json:
    """One of those that metrics.sensors shows."""
    groups = variable("group", "label_values(lstm_stream_sensor_anomaly{HERE}, group)", label="Group")
    of_group = 'label_values(lstm_stream_sensor_anomaly{HERE,group="$group"}, sensor)'
    sensors = variable("sensor", of_group, label="Sensor")
    of_sensor = "label_values(lstm_stream_sensor_observed_value{SENSOR}, channel)"
    channels = variable("channel", of_sensor, label="Channel", many=True)
    about = "A sensor that metrics.sensors of the configuration shows."
    board = Board("lstm-stream-sensor", "lstm_stream: sensor", about, groups, sensors, channels)

    board.row(4)
    board.add(8, says("Alarm", ask("max(lstm_stream_sensor_anomaly{SENSOR})", now=True), ALARM))
    ratio = ask("max(lstm_stream_sensor_anomaly_score{SENSOR} / lstm_stream_sensor_anomaly_threshold{SENSOR})")
    board.add(8, number("Score, of the threshold", ratio, unit="percentunit", steps=[(0.5, WARN), (1, BAD)]))
    age = ask("time() - max(lstm_stream_sensor_last_sample_timestamp_seconds{SENSOR})")
    board.add(8, number("Last sample", age, unit="s", about="How long ago, by the sensor's own clock."))

    board.row(7)
    score = ask("lstm_stream_sensor_anomaly_score{SENSOR}", "score")
    threshold = ask("lstm_stream_sensor_anomaly_threshold{SENSOR}", "threshold")
    about = "-log10 of the tail probability; at the threshold the alarm budget is spent."
    board.add(24, lines("Score and threshold", score, threshold, about=about))
    board.row(3)
    board.add(24, states("Alarm", ask("lstm_stream_sensor_anomaly{SENSOR}", "alarm"), words=ALARM))
    board.row(9)
    board.add(24, _values())
    return board.document()


def _values() -> Json:
    """The curves of a channel; Grafana repeats the panel for each."""
    channel = '{SENSOR,channel=~"$channel"}'
    panel = lines(
        "$channel",
        ask(f"lstm_stream_sensor_expected_lower_value{channel}", "lower"),
        ask(f"lstm_stream_sensor_expected_upper_value{channel}", "upper"),
        ask(f"lstm_stream_sensor_expected_value{channel}", "expected"),
        ask(f"lstm_stream_sensor_observed_value{channel}", "observed"),
        least=None,
        about="Beyond the band the forecast alone would raise an alarm.",
    )
    panel["fieldConfig"]["overrides"] = [
        style("lower", {"custom.lineWidth": 0, "custom.fillOpacity": 0}),
        style("upper", {"custom.lineWidth": 0, "custom.fillBelowTo": "lower", "custom.fillOpacity": 15}),
        style("expected", {"custom.lineStyle": {"fill": "dash"}}),
        style("observed", {"custom.lineWidth": 2}),
    ]
    return {**panel, "repeat": "channel", "repeatDirection": "v"}
