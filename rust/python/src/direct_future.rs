//! A future whose waiter goes on at once.

use parking_lot::Mutex;
use pyo3::exceptions::PyStopIteration;
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;

/// Like `asyncio.Future`, but `set_result` resumes the coroutine that waits before it returns; while another one is
/// running, which asyncio does not let another interrupt, in the next turn of the event loop.
///
/// It has what `asyncio.Task` uses of a future (docs.python.org, asyncio-future).
///
/// NOTE: `asyncio.Future` always leaves it to the next turn, before which the loop looks at its sockets once more.
#[pyclass(frozen, module = "edgeroute._native")]
pub(crate) struct DirectFuture {
    event_loop: Py<PyAny>,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// asyncio's sign that somebody awaits it, which it takes back once it has seen it.
    blocking: bool,
    waiters: Vec<Waiter>,
}

enum Stage {
    Pending,
    Done(Py<PyAny>),
    Cancelled,
}

/// Whom to call, and in which context.
struct Waiter {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

#[pymethods]
impl DirectFuture {
    #[new]
    fn new(event_loop: Py<PyAny>) -> Self {
        let state = State { stage: Stage::Pending, blocking: false, waiters: Vec::new() };
        Self { event_loop, state: Mutex::new(state) }
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    fn done(&self) -> bool {
        !matches!(self.state.lock().stage, Stage::Pending)
    }

    fn cancelled(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Cancelled)
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.state.lock().stage {
            Stage::Pending => Err(InvalidStateError::new_err("the result is not set")),
            Stage::Done(result) => Ok(result.clone_ref(py)),
            Stage::Cancelled => Err(CancelledError::new_err(())),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py).map(drop)
    }

    fn set_result(slf: &Bound<'_, Self>, result: Py<PyAny>) -> PyResult<()> {
        let waiters = slf.get().end(Stage::Done(result))?;
        let call = if is_coroutine_running(slf)? { Waiter::call_soon } else { Waiter::call };
        waiters.into_iter().map(|waiter| call(waiter, slf)).fold(Ok(()), Result::and)
    }

    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let Ok(waiters) = slf.get().end(Stage::Cancelled) else { return Ok(false) };
        waiters.into_iter().map(|waiter| waiter.call_soon(slf)).fold(Ok(()), Result::and).map(|()| true)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let waiter = Waiter { callback, context };
        let mut state = slf.get().state.lock();
        if !matches!(state.stage, Stage::Pending) {
            drop(state);
            return waiter.call_soon(slf);
        }
        state.waiters.push(waiter);
        Ok(())
    }

    fn remove_done_callback(&self, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        // Comparing runs Python, so not under the lock.
        let waiters = std::mem::take(&mut self.state.lock().waiters);
        let before = waiters.len();
        let mut others = Vec::with_capacity(before);
        for waiter in waiters {
            if !waiter.callback.bind(callback.py()).eq(callback)? {
                others.push(waiter);
            }
        }
        let removed = before - others.len();
        self.state.lock().waiters.append(&mut others);
        Ok(removed)
    }

    #[getter(_asyncio_future_blocking)]
    fn blocking(&self) -> bool {
        self.state.lock().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.state.lock().blocking = blocking;
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(slf: Bound<'_, Self>) -> PyResult<Option<Bound<'_, Self>>> {
        let mut state = slf.get().state.lock();
        match &state.stage {
            Stage::Pending => {
                state.blocking = true;
                drop(state);
                Ok(Some(slf))
            }
            // What an iterator ends with is what awaiting it gives.
            Stage::Done(result) if result.is_none(slf.py()) => Ok(None),
            Stage::Done(result) => Err(PyStopIteration::new_err((result.clone_ref(slf.py()),))),
            Stage::Cancelled => Err(CancelledError::new_err(())),
        }
    }
}

impl DirectFuture {
    /// Ends it and gives who waits; `InvalidStateError` if it has ended before.
    fn end(&self, stage: Stage) -> PyResult<Vec<Waiter>> {
        let mut state = self.state.lock();
        if !matches!(state.stage, Stage::Pending) {
            drop(state);
            return Err(InvalidStateError::new_err("the result is set already"));
        }
        state.stage = stage;
        Ok(std::mem::take(&mut state.waiters))
    }
}

impl Waiter {
    fn call(self, future: &Bound<'_, DirectFuture>) -> PyResult<()> {
        let py = future.py();
        match self.context {
            Some(context) => context.bind(py).call_method1(intern!(py, "run"), (self.callback, future)),
            None => self.callback.bind(py).call1((future,)),
        }
        .map(drop)
    }

    fn call_soon(self, future: &Bound<'_, DirectFuture>) -> PyResult<()> {
        let py = future.py();
        let options = PyDict::new(py);
        options.set_item(intern!(py, "context"), self.context)?;
        let event_loop = future.get().event_loop.bind(py);
        event_loop.call_method(intern!(py, "call_soon"), (self.callback, future), Some(&options)).map(drop)
    }
}

fn is_coroutine_running(future: &Bound<'_, DirectFuture>) -> PyResult<bool> {
    static CURRENT_TASK: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = future.py();
    let current_task = CURRENT_TASK.import(py, "asyncio", "current_task")?;
    Ok(!current_task.call1((&future.get().event_loop,))?.is_none())
}
