"""Dashboard: the daemon from the inside: where time goes, what is lost, what it needs."""

from panels import BAD, GOOD, Board, Json, ask, lines, number, quantiles, says, states, table


def daemon() -> Json:
    """For whoever runs it."""
    board = Board("lstm-stream-daemon", "lstm_stream: daemon", "The daemon from the inside.")
    _head(board)
    _line(board)
    _upkeep(board)
    return board.document()


def _head(board: Board) -> None:
    board.row(4)
    board.add(6, table("Version", ask("lstm_stream_build_info{HERE}", now=True, shape="table"), hidden=["Value"]))
    up = ask('time() - max(process_start_time_seconds{HERE,job="lstm_stream"})')
    board.add(6, number("Up for", up, unit="s"))
    words = {"0": ("away", BAD), "1": ("connected", GOOD)}
    board.add(6, says("Broker", ask("min(lstm_stream_mqtt_connected{HERE})", now=True), words))
    words = {"0": ("refused", BAD), "1": ("in force", GOOD)}
    board.add(6, says("Configuration", ask("min(lstm_stream_config_last_reload_successful{HERE})", now=True), words))
    board.row(5)
    checks = ask("min by (check) (lstm_stream_check_ok{HERE})", "{{check}}")
    board.add(24, states("Checks of /-/ready", checks, words={"0": ("failing", BAD), "1": ("ok", GOOD)}))


def _line(board: Board) -> None:
    board.row(8)
    received = ask("sum(rate(lstm_stream_messages_received_total{HERE}[RATE]))", "messages received")
    found = ask("sum(rate(lstm_stream_samples_received_total{HERE}[RATE]))", "samples found")
    scored = ask("sum(rate(lstm_stream_samples_processed_total{HERE}[RATE]))", "samples scored")
    board.add(8, lines("Messages and samples a second", received, found, scored, unit="ops"))
    rejected = ask(
        "sum by (reason) (rate(lstm_stream_samples_rejected_total{HERE}[RATE])) > 0 or on() vector(0)", "{{reason}}"
    )
    dropped = "sum by (reason) (rate(lstm_stream_messages_dropped_total{HERE}[RATE])) > 0 or on() vector(0)"
    about = "lstm-stream explain says why for one message."
    lost = ask(dropped, "dropped: {{reason}}")
    board.add(8, lines("Not scored, by reason, a second", rejected, lost, unit="ops", about=about))
    ways = ask("sum by (path) (rate(lstm_stream_messages_decoded_total{HERE}[RATE]))", "{{path}}")
    board.add(8, lines("Decoded the fast and the slow way", ways, unit="ops", stacked=True))

    board.row(8)
    board.add(8, lines("From arrival to verdict", *quantiles("lstm_stream_processing_latency_seconds"), unit="s"))
    board.add(8, lines("Time in the queue", *quantiles("lstm_stream_queue_wait_seconds"), unit="s"))
    used = ask("max(instance:lstm_stream_queue:used_ratio{HERE})", "used")
    board.add(8, lines("Queue", used, unit="percentunit", most=1, about="Of limits.inbox."))

    board.row(8)
    stages = ask("sum by (stage) (rate(lstm_stream_stage_duration_seconds_sum{HERE}[RATE]))", "{{stage}}")
    about = "Share of the worker's time: at 100 % it is at its limit."
    board.add(8, lines("Time of the stages", stages, unit="percentunit", stacked=True, about=about))
    board.add(8, lines("Samples at once", *quantiles("lstm_stream_batch_size_samples"), about="Grows with the load."))
    about = "Arrival minus the sample's own time."
    board.add(8, lines("Lag of the samples", *quantiles("lstm_stream_ingest_lag_seconds"), unit="s", about=about))


def _upkeep(board: Board) -> None:
    board.row(8)
    cpu = ask('rate(process_cpu_seconds_total{HERE,job="lstm_stream"}[RATE])', "{{instance}}")
    board.add(6, lines("CPU", cpu, unit="percentunit", about="100 % is one core."))
    memory = ask('process_resident_memory_bytes{HERE,job="lstm_stream"}', "{{instance}}")
    board.add(6, lines("Memory", memory, unit="bytes"))
    lost = "sum by (reason) (increase(lstm_stream_mqtt_disconnects_total{HERE}[RATE])) or on() vector(0)"
    board.add(6, lines("Lost connections", ask(lost, "{{reason}}"), bars=True))
    log = ask("sum by (level) (increase(lstm_stream_log_messages_total{HERE}[RATE]))", "{{level}}")
    board.add(6, lines("Log", log, bars=True, stacked=True))

    board.row(8)
    refused = "sum by (reason) (increase(lstm_stream_mqtt_connect_failures_total{HERE}[RATE])) or on() vector(0)"
    board.add(6, lines("Attempts that led to no connection", ask(refused, "{{reason}}"), bars=True))
    dropped = ask("sum(increase(lstm_stream_broker_messages_dropped_total{HERE}[RATE])) or on() vector(0)", "dropped")
    board.add(6, lines("What the broker says it lost", dropped, bars=True, about="Of any of its clients."))
    durable = ask("min by (instance) (lstm_stream_durable{HERE})", "{{instance}}")
    words = {"0": ("at risk", BAD), "1": ("safe", GOOD)}
    about = "Safe: a crash loses no more than state.durability allows."
    board.add(6, states("What has been taken in", durable, words=words, about=about))
    size = ask("sum by (instance) (lstm_stream_journal_bytes{HERE})", "{{instance}}")
    board.add(6, lines("Journal", size, unit="bytes", about="What a start would repeat."))

    board.row(8)
    took = quantiles("lstm_stream_checkpoint_duration_seconds", "1h")
    board.add(8, lines("Time to save the state", *took, unit="s", about="Over the last hour."))
    saved = ask("time() - max(lstm_stream_checkpoint_last_success_timestamp_seconds{HERE})", "ago")
    board.add(4, lines("Saved", saved, unit="s"))
    failed = ask("sum(increase(lstm_stream_checkpoint_failures_total{HERE}[1h]))", "failures")
    board.add(4, lines("Saves that failed", failed, about="In an hour."))
    sinks = "sum by (sink, result) (increase(lstm_stream_events_published_total{HERE}[RATE]))"
    board.add(8, lines("Events by what became of them", ask(sinks, "{{sink}}: {{result}}"), bars=True))
