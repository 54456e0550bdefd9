"""Dashboard: which machines misbehave, since when, and is the watch itself in order?"""

from panels import BAD, WARN, YES_NO, Board, Json, ask, histogram, lines, number, ranks, says, table


def fleet() -> Json:
    """All sensors at a glance."""
    board = Board("lstm-stream-fleet", "lstm_stream: fleet", "All sensors at a glance.")
    board.row(4)
    about = "Messages come in and are scored."
    board.add(4, says("Working", ask("min(lstm_stream_ready{HERE})", now=True), YES_NO, about=about))
    board.add(4, number("Alarms open", ask("sum(lstm_stream_anomalies_active{HERE})"), steps=[(1, WARN)]))
    board.add(4, number("Sensors", ask("sum(lstm_stream_sensors{HERE})")))
    share = ask("max(instance:lstm_stream_sensors:alarmed_ratio{HERE})")
    about = "Of those past their warm-up. More than 20 % at once have one cause."
    steps = [(0.05, WARN), (0.2, BAD)]
    board.add(4, number("Sensors in alarm", share, unit="percentunit", steps=steps, about=about))
    board.add(4, number("Messages", ask("sum(rate(lstm_stream_messages_received_total{HERE}[RATE]))"), unit="mps"))
    age = ask("time() - max(lstm_stream_last_message_timestamp_seconds{HERE})")
    board.add(4, number("Last message", age, unit="s", steps=[(600, BAD)], about="How long ago it was scored."))

    board.row(8)
    states = ask("sum by (state) (lstm_stream_sensors{HERE})", "{{state}}")
    board.add(
        12, lines("Sensors by state", states, stacked=True, about="silent: nothing comes where something should.")
    )
    opened = ask("sum by (severity) (increase(lstm_stream_anomalies_total{HERE}[RATE]))", "{{severity}}")
    board.add(12, lines("Alarms opened by severity", opened, stacked=True, bars=True))

    board.row(8)
    about = "Alarms opened in the time shown."
    groups = ask(
        "sort_desc(sum by (group) (increase(lstm_stream_anomalies_total{HERE}[RANGE])))", "{{group}}", now=True
    )
    board.add(6, ranks("Alarms by group", groups, about=about))
    views = ask("sort_desc(sum by (view) (increase(lstm_stream_anomalies_total{HERE}[RANGE])))", "{{view}}", now=True)
    board.add(6, ranks("Alarms by what gave them away", views, about=about))
    about = "-log10 of the tail probability: 3 is one sample in a thousand. A cloud that rises as a whole is drift."
    board.add(12, histogram("Scores", "lstm_stream_anomaly_score_distribution", about=about))

    board.row(8)
    top = ask("topk(20, lstm_stream_sensor_anomaly_score{HERE}) or on() vector(0)", now=True, shape="table")
    about = "Of those with series of their own: metrics.sensors of the configuration says which."
    board.add(12, table("Sensors with the highest scores", top, about=about))
    waiting = ask("sum by (sink) (lstm_stream_events_waiting{HERE}) or on() vector(0)", "{{sink}}")
    board.add(6, lines("Events on their way", waiting, about="Made, and not taken by their sink yet."))
    said = ask("sum by (verb) (increase(lstm_stream_commands_total{HERE}[RATE]))", "{{verb}}")
    board.add(6, lines("What people said", said, bars=True, stacked=True))
    return board.document()
