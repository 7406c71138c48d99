import threading

import pytest

from mcp_llama.engine.llama.readers import Readers
from mcp_llama.errors import EngineError
from tests.gate import PATIENCE_S


def test_closing_waits_for_the_readers_that_are_in() -> None:
    readers = Readers()
    closed = threading.Event()

    def close() -> None:
        readers.close()
        closed.set()

    thread = threading.Thread(target=close, daemon=True)
    with readers.reading():
        with readers.reading():
            thread.start()
        assert not closed.wait(0.05)
    assert closed.wait(PATIENCE_S)


def test_nobody_reads_after_the_end() -> None:
    readers = Readers()
    readers.close()
    with pytest.raises(EngineError, match="has been closed"), readers.reading():
        pytest.fail("a reader was let in")


def test_a_reader_that_fails_leaves_too() -> None:
    readers = Readers()
    with pytest.raises(ValueError, match="a defect"), readers.reading():
        raise ValueError("a defect")
    thread = threading.Thread(target=readers.close, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
