//! How a hop's refusal of an onion packet looks on the link: a stream reset whose code says why.

use super::Code;
use crate::onion::ResetReason;

/// Where the reasons of [`ResetReason`] begin among the codes.
const FIRST: u64 = 0x100;

impl Code {
    /// The code of an onion refusal.
    pub fn of_refusal(reason: ResetReason) -> Self {
        // Far below the largest code.
        Self::new(FIRST + u64::from(reason.code())).unwrap_or(Self::PROTOCOL)
    }

    /// The onion refusal that the code stands for, if it is one.
    pub fn refusal(self) -> Option<ResetReason> {
        let code = self.number().checked_sub(FIRST)?;
        u8::try_from(code).ok().map(ResetReason::from_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_read_back_and_no_other_code_is_one() {
        for code in 0..=u8::MAX {
            let reason = ResetReason::from_code(code);
            assert_eq!(Code::of_refusal(reason).refusal(), Some(reason));
        }
        for code in [Code::CANCELLED, Code::BUSY, Code::DEADLINE] {
            assert_eq!(code.refusal(), None);
        }
    }
}
