"""Dashboard: do the models learn, and does it help?"""

from panels import WARN, Board, Json, ask, lines, number, quantiles, table


def models() -> Json:
    """For whoever wants to know whether to trust the scores."""
    board = Board("lstm-stream-models", "lstm_stream: models", "Do the models learn, and does it help?")
    board.row(4)
    age = ask("time() - max(lstm_stream_retrain_last_success_timestamp_seconds{HERE})")
    board.add(6, number("Last round", age, unit="s", about="How long ago the latest one that did not fail ended."))
    rounds = 'sum(increase(lstm_stream_retrains_total{HERE,result!="rollback"}[RANGE]))'
    board.add(6, number("Rounds", ask(rounds, now=True), about="In the time shown."))
    adopted = 'sum(increase(lstm_stream_retrains_total{HERE,result="adopted"}[RANGE]))'
    about = "Of the rounds in the time shown: their weights forecast held-back samples at least as well."
    board.add(6, number("Adopted", ask(f"{adopted} / {rounds}", now=True), unit="percentunit", about=about))
    failed = ask('sum(increase(lstm_stream_retrains_total{HERE,result=~"failed|late"}[RANGE]))', now=True)
    board.add(6, number("Failed or late", failed, steps=[(1, WARN)], about="In the time shown."))

    board.row(8)
    results = ask("sum by (result) (increase(lstm_stream_retrains_total{HERE}[RATE]))", "{{result}}")
    board.add(12, lines("Rounds by what became of the weights", results, bars=True, stacked=True))
    total = "sum by (weights) (rate(lstm_stream_retrain_loss_sum{HERE}[1h]))"
    count = "sum by (weights) (rate(lstm_stream_retrain_loss_count{HERE}[1h]))"
    about = (
        "Mean of an hour's rounds, of the weights in force (champion) and of the new ones (challenger). "
        "A champion that rises: the world has changed."
    )
    board.add(12, lines("Loss on held-back samples", ask(f"{total} / {count}", "{{weights}}"), about=about))

    board.row(8)
    took = quantiles("lstm_stream_retrain_duration_seconds", "1h")
    board.add(8, lines("Time of a round", *took, unit="s", about="Over the last hour."))
    warming = ask('sum(lstm_stream_sensors{HERE,state="warming"})', "warming up")
    forgotten = ask("sum(increase(lstm_stream_sensors_forgotten_total{HERE}[1h]))", "forgotten in an hour")
    board.add(8, lines("Sensors that come and go", warming, forgotten))
    scores = quantiles("lstm_stream_anomaly_score_distribution", "1h")
    about = "Over the last hour. Where the calibration is right the median is 0.3 and one of 100 exceeds 2."
    board.add(8, lines("Scores", *scores, about=about))

    board.row(7)
    info = ask("lstm_stream_model_info{HERE}", now=True, shape="table")
    board.add(16, table("Models", info, hidden=["Value"]))
    verbs = 'lstm_stream_commands_total{HERE,verb=~"accept|normal|pause|resume|rollback"}'
    said = ask(f"sum by (verb) (increase({verbs}[RATE]))", "{{verb}}")
    board.add(8, lines("What people said of it", said, bars=True, stacked=True))
    return board.document()
