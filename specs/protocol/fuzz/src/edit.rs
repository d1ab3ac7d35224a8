//! Damage to bytes, as the fuzzer says.

/// Applies `edits`, four bytes each: what to do, where (two bytes), with what.
pub fn edit(bytes: &mut Vec<u8>, edits: &[u8]) {
    for edit in edits.chunks_exact(4) {
        let [what, high, low, with] = [edit[0], edit[1], edit[2], edit[3]];
        let at = usize::from(u16::from_be_bytes([high, low]));
        if bytes.is_empty() {
            bytes.push(with);
            continue;
        }
        let at = at % bytes.len();
        match what % 8 {
            0 | 1 => bytes[at] = with,
            2 | 3 => bytes[at] ^= 1 << (with & 7),
            4 => bytes[at] = bytes[at].wrapping_add(with),
            5 => bytes.insert(at, with),
            6 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
    }
}

/// Copies a stretch of `from` over the same or another place of `into`.
pub fn splice(into: &mut [u8], at: usize, from: &[u8], start: usize, len: usize) {
    let Some(room) = into.get_mut(at..) else { return };
    let Some(stretch) = from.get(start..) else { return };
    for (to, with) in room.iter_mut().zip(stretch).take(len) {
        *to = *with;
    }
}
