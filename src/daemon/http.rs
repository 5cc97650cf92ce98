//! The little HTTP service of engine and gateway: `/metrics` and `/healthz`.
//!
//! # Invariants
//! - It is never in the way of what the process is for: at most [`MOST`] connections, each with a deadline for everything
//!   and one request; what does not fit waits or is cut.
//! - It changes nothing and tells no secrets; who may reach it is decided by the address it listens on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Registry, TEXT_FORMAT, TextEncoder};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::host_name;

/// Connections at a time.
const MOST: usize = 32;
/// A request's head is here by then.
const HEAD: Duration = Duration::from_secs(3);
/// And its answer is taken by then.
const WHOLE: Duration = Duration::from_secs(10);
/// A request's head is no longer, in bytes.
const LONGEST: usize = 16 << 10;
/// How long those being served may take at the end.
const DRAIN: Duration = Duration::from_secs(1);
/// Rest after an accept that failed, for want of file descriptors most likely.
const PAUSE: Duration = Duration::from_millis(100);

/// The value of `--http-listen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpListen {
    /// Here; port 0 is any free one.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl FromStr for HttpListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Off);
        }
        let wanted = "expected an IP address and a port, such as 127.0.0.1:15380 or [::1]:0, or `none`";
        text.parse().map(Self::At).map_err(|_| wanted.into())
    }
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Off => f.write_str("none"),
        }
    }
}

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error(
        "cannot serve metrics and health on {address}: {source}. Give another address with --http-listen, port 0 for any \
         free one, or `none`"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        source: io::Error,
    },
}

/// What is wrong with this process, if anything; nothing means that it does its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// One sentence each.
    pub problems: Vec<String>,
}

impl FromIterator<String> for Health {
    fn from_iter<T: IntoIterator<Item = String>>(problems: T) -> Self {
        Self { problems: problems.into_iter().collect() }
    }
}

/// The service, listening but not serving yet.
#[derive(Debug)]
pub struct HttpService {
    listener: TcpListener,
    address: SocketAddr,
}

impl HttpService {
    /// Listens where `listen` says; `None` for nowhere.
    ///
    /// # Errors
    /// If the address is taken or not ours.
    pub async fn bind(listen: HttpListen) -> Result<Option<Self>, HttpError> {
        let HttpListen::At(address) = listen else { return Ok(None) };
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        };
        bound.await.map(Some).map_err(|source| HttpError::Bind { address, source })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where others reach it, as host:port: by the host's name if it listens on all addresses.
    pub fn advertised(&self) -> String {
        advertised(self.address, &host_name())
    }

    /// Serves `registry` and what `health` answers, until cancelled. `health` must not block.
    pub async fn serve(
        self,
        registry: Registry,
        health: impl Fn() -> Health + Send + Sync + 'static,
        cancel: CancellationToken,
    ) {
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(healthz))
            .fallback(|| async { (StatusCode::NOT_FOUND, "there is /metrics and /healthz\n") })
            .with_state(Arc::new(Served { registry, health: Box::new(health) }));
        // Dropped at the end, with whatever is still in it.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "an HTTP connection ended abnormally");
                    }
                }
                accepted = self.listener.accept(), if connections.len() < MOST => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(converse(stream, router.clone()))),
                    Err(error) => {
                        tracing::warn!(address = %self.address, %error, "an HTTP connection was not accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        let drained = async { while connections.join_next().await.is_some() {} };
        if timeout(DRAIN, drained).await.is_err() {
            tracing::debug!("HTTP connections are dropped");
        }
    }
}

/// One request and its answer.
async fn converse(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(LONGEST).keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(WHOLE, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP connection failed"),
        Err(_) => tracing::debug!("an HTTP connection was cut after {} s", WHOLE.as_secs()),
    }
}

struct Served {
    registry: Registry,
    health: Box<dyn Fn() -> Health + Send + Sync>,
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    match TextEncoder::new().encode_to_string(&served.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthz(State(served): State<Arc<Served>>) -> Response {
    let Health { problems } = (served.health)();
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::json!({ "healthy": problems.is_empty(), "problems": problems });
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

fn advertised(address: SocketAddr, host: &str) -> String {
    if address.ip().is_unspecified() { format!("{host}:{}", address.port()) } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")).await
    }

    #[tokio::test]
    async fn it_answers_whatever_others_do_and_ends() {
        let any = "127.0.0.1:0".parse().unwrap();
        let service = HttpService::bind(any).await.unwrap().unwrap();
        let address = service.address();
        let taken = HttpService::bind(HttpListen::At(address)).await.unwrap_err().to_string();
        assert!(taken.contains(&format!("on {address}: ")) && taken.contains("--http-listen"), "{taken}");
        let (problem, cancel) = (Arc::new(std::sync::Mutex::new(None)), CancellationToken::new());
        let health = {
            let problem = problem.clone();
            move || problem.lock().unwrap().iter().cloned().collect()
        };
        let serving = tokio::spawn(service.serve(Registry::new(), health, cancel.clone()));

        let answer = get(address, "/metrics").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(get(address, "/healthz").await.ends_with("{\"healthy\":true,\"problems\":[]}\n"));
        *problem.lock().unwrap() = Some("\"etcd\" is away".to_string());
        let answer = get(address, "/healthz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("{\"healthy\":false,\"problems\":[\"\\\"etcd\\\" is away\"]}\n"), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /metrics HTTP/1.1\r\nHost: here\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        assert!(
            ask(address, &format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST))).await.starts_with("HTTP/1.1 4")
        );

        // As many as may be, all silent: they are cut, and who waits behind them comes in.
        let mut silent = Vec::new();
        for _ in 0..MOST {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = timeout(2 * HEAD, get(address, "/metrics")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let _held = TcpStream::connect(address).await.unwrap();
        cancel.cancel();
        timeout(2 * DRAIN, serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[test]
    fn addresses_are_read_and_told() {
        let at = |text: &str| HttpListen::At(text.parse().unwrap());
        assert_eq!("[::1]:80".parse(), Ok(at("[::1]:80")));
        assert_eq!("none".parse(), Ok(HttpListen::Off));
        assert!("localhost".parse::<HttpListen>().unwrap_err().contains("127.0.0.1:15380"));
        assert_eq!(advertised("0.0.0.0:99".parse().unwrap(), "box"), "box:99");
        assert_eq!(advertised("[::1]:99".parse().unwrap(), "box"), "[::1]:99");
    }
}
