//! Uses what the protocol crate may not: one use for each entry of `../clippy.toml` in `std`.
//! `deploy/dev/lint.sh` fails if clippy lets any of it pass.

/// Reads both clocks.
pub fn clocks() -> (std::time::Instant, std::time::SystemTime) {
    (std::time::Instant::now(), std::time::SystemTime::now())
}

/// Waits, and starts a thread.
pub fn threads() {
    std::thread::spawn(|| std::thread::sleep(std::time::Duration::ZERO));
}

/// Holds types that are random or do I/O.
pub struct Types {
    /// Iterates in a random order.
    pub map: std::collections::HashMap<u8, u8>,
    /// Iterates in a random order.
    pub set: std::collections::HashSet<u8>,
    /// Is seeded by the system.
    pub state: std::hash::RandomState,
    /// A socket.
    pub tcp: std::net::TcpStream,
    /// A socket.
    pub udp: std::net::UdpSocket,
}
