//! The life of a process: its runtime, its signals, its end.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A process drains within this time after SIGTERM, or ends without.
pub const DRAIN_WITHIN: Duration = Duration::from_secs(8);

/// Cores up to which one thread runs all tasks of a process. Measured in
/// `specs/decisions/0001-runtime.md`: handing tasks to other threads took a quarter of a quiet
/// node's CPU time.
const ONE_THREAD_UP_TO: usize = 2;

/// The shape of a process's runtime, in one place: up to [`ONE_THREAD_UP_TO`] cores one thread for
/// all tasks, with more a worker a core. Peeling and signature checks run inside those tasks; the
/// mailbox and its database have threads of their own in either shape.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = if cores <= ONE_THREAD_UP_TO {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    builder.enable_all().build()
}

/// Runs one short piece of work of a command.
///
/// # Errors
///
/// When the system gives no threads.
pub fn block_on<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

/// Runs the node of a directory until a signal ends it.
///
/// # Errors
///
/// When it cannot start, or something it cannot go on without failed.
pub fn run_node(dir: &Path) -> anyhow::Result<()> {
    run(|stop| crate::node::run(dir.to_path_buf(), stop))
}

/// Runs the authority of a directory until a signal ends it.
///
/// # Errors
///
/// When it cannot start, or something it cannot go on without failed.
pub fn run_authority(dir: &Path) -> anyhow::Result<()> {
    run(|stop| crate::authority::run(dir.to_path_buf(), stop))
}

/// Runs a home network until a signal ends it; says once when it is ready.
///
/// # Errors
///
/// When a part of it cannot start or go on.
pub fn run_home(
    home: crate::home::Home,
    on_ready: impl FnOnce(u64) + Send + 'static,
) -> anyhow::Result<()> {
    run(|stop| home.run(stop, on_ready))
}

fn run<F: Future<Output = anyhow::Result<()>>>(
    work: impl FnOnce(CancellationToken) -> F,
) -> anyhow::Result<()> {
    let runtime = runtime()?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let work = work(stop.clone());
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => return result,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stop.cancel();
        tokio::time::timeout(DRAIN_WITHIN, work).await.unwrap_or(Ok(()))
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Notices SIGINT and SIGTERM for a command that waits.
#[derive(Clone, Debug)]
pub struct StopSignal(Arc<(Mutex<bool>, Condvar)>);

impl StopSignal {
    /// From now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    ///
    /// When the system refuses the handlers.
    pub fn install() -> std::io::Result<Self> {
        let flag = Self(Arc::new((Mutex::new(false), Condvar::new())));
        let (installed, result) = std::sync::mpsc::channel();
        let set = flag.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return installed.send(Err(error)),
            };
            runtime.block_on(async move {
                let handlers = signal(SignalKind::terminate())
                    .and_then(|t| Ok((t, signal(SignalKind::interrupt())?)));
                let (mut terminate, mut interrupt) = match handlers {
                    Ok(handlers) => handlers,
                    Err(error) => return installed.send(Err(error)),
                };
                installed.send(Ok(()))?;
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                set.set();
                Ok(())
            })
        });
        result.recv().map_err(std::io::Error::other)??;
        Ok(flag)
    }

    fn set(&self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.0.1.notify_all();
    }

    /// Whether a signal came.
    pub fn is_set(&self) -> bool {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a signal.
    pub fn wait(&self) {
        let mut set = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !*set {
            set = self.0.1.wait(set).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
