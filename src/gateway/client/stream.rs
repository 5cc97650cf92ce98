//! The byte stream under a client: TCP, TLS over TCP, or a Unix socket.
//!
//! Invariant: what was sent before [`ClientStream::close`] arrives. A socket that is closed with unread bytes in it makes
//! the system reset the connection, and the reset overtakes our last words; so the stream ends in order.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::server::TlsStream;

use crate::mysql::wire::stream::keep_alive;

/// How long the peer may take to hear our last words.
const LINGER: Duration = Duration::from_secs(2);

/// A connected client.
#[derive(Debug)]
pub enum ClientStream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
}

impl ClientStream {
    /// An accepted TCP connection. Small packets are not held back; that its peer has vanished is noticed.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        Ok(ClientStream::Tcp(stream))
    }

    /// True when the bytes are encrypted with TLS.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, ClientStream::Tls(_))
    }

    /// True where a password may come as it is: TLS, or a socket that does not leave the host.
    pub fn is_secure(&self) -> bool {
        !matches!(self, ClientStream::Tcp(_))
    }

    /// The peer's host as MySQL names it in `'user'@'host'`, and its port; a Unix socket is `localhost` without one.
    pub fn peer(&self) -> (String, Option<u16>) {
        let address = match self {
            ClientStream::Unix(_) => return ("localhost".to_owned(), None),
            ClientStream::Tcp(tcp) => tcp.peer_addr(),
            ClientStream::Tls(tls) => tls.get_ref().0.peer_addr(),
        };
        match address {
            Ok(address) => (address.ip().to_canonical().to_string(), Some(address.port())),
            // The peer is gone already.
            Err(_) => ("unknown".to_owned(), None),
        }
    }

    /// Ends the stream: sends the end, then reads what the peer still sends, for a moment, until its end.
    pub async fn close(&mut self) {
        let orderly = async {
            self.shutdown().await?;
            let mut ignored = [0; 4096];
            while self.read(&mut ignored).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether the peer took part in the farewell changes nothing.
        let _ = timeout(LINGER, orderly).await;
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut dyn Duplex> {
        match self.get_mut() {
            ClientStream::Tcp(stream) => Pin::new(stream),
            ClientStream::Tls(stream) => Pin::new(stream.as_mut()),
            ClientStream::Unix(stream) => Pin::new(stream),
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.inner().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner().poll_shutdown(cx)
    }
}
