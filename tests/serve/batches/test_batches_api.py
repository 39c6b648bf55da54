"""An unmodified OpenAI client goes from a file of requests to a file of answers."""

from fixtures.batch_house import BatchHouse, over, results, some, start_batch


async def test_a_script_goes_from_file_to_batch_to_answers(house: BatchHouse) -> None:
    client = await house.client(team="acme")
    batch = await start_batch(client, some(20), metadata={"ticket": "42"})
    assert (batch.object, batch.status, batch.completion_window) == ("batch", "validating", "24h")
    done = await over(client, batch.id)
    assert done.status == "completed", done
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (20, 20, 0)
    assert done.error_file_id is None and done.metadata == {"ticket": "42"}
    answers = await results(client, done.output_file_id)
    assert [answer["custom_id"] for answer in answers] == [f"line-{number}" for number in range(20)]
    assert {answer["response"]["status_code"] for answer in answers} == {200}
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"] == "aaa"
    assert len({answer["id"] for answer in answers}) == 20
    usage = await house.usage()
    assert (usage["requests"], usage["errors"]) == (20, 0)
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (140, 60)
    assert len(house.tiny.calls) == 20
