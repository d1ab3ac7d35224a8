//! One slot of an envelope: a fixed-length plaintext wrapped for one device by HPKE.
//!
//! HPKE (RFC 9180) in base mode with X-Wing, HKDF-SHA256 and AES-256-GCM. Specified in 07 end to
//! end, section 4.

use hpke::aead::{AeadTag, AesGcm256};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, XWing};
use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, single_shot_open_inout_detached,
    single_shot_seal_inout_detached_with_rng,
};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::kem::{HpkePrivate, KemError, KemPublic, KemSecret};

/// Bytes a slot carries.
///
/// Mode (1), length (2), and an Olm message, which opens a session with an untruncated tag in
/// 413 bytes around a plaintext of at most 207: 1 version, 3 × 34 keys, 3 around 1 version,
/// 34 ratchet key, 11 counter, 3 + 208 ciphertext, 32 tag, with 18 to spare. 207 hold a body key,
/// a body digest and four identity keys of 32 bytes.
pub const SLOT_PLAINTEXT: usize = 416;

/// An X-Wing ciphertext.
const ENC_LEN: usize = 1120;

const TAG_LEN: usize = 16;

/// Bytes of a slot on the wire: encapsulated key, sealed plaintext, tag.
pub const SLOT_LEN: usize = ENC_LEN + SLOT_PLAINTEXT + TAG_LEN;

/// What a slot carries, wiped when dropped.
pub(super) type SlotPlaintext = Zeroizing<[u8; SLOT_PLAINTEXT]>;

/// Wraps `plaintext` for the holder of `key`, appending [`SLOT_LEN`] bytes to `out`.
pub(super) fn wrap(
    rng: &mut impl CryptoRng,
    key: &KemPublic,
    info: &[u8],
    associated: &[u8],
    mut plaintext: SlotPlaintext,
    out: &mut Vec<u8>,
) -> Result<(), KemError> {
    let (enc, tag) = single_shot_seal_inout_detached_with_rng::<AesGcm256, HkdfSha256, XWing>(
        &OpModeS::Base,
        &key.to_hpke()?,
        info,
        InOutBuf::from(plaintext.as_mut_slice()),
        associated,
        rng,
    )
    .map_err(|_| KemError)?;
    out.extend_from_slice(&enc.to_bytes());
    out.extend_from_slice(plaintext.as_slice());
    out.extend_from_slice(&tag.to_bytes());
    Ok(())
}

/// Appends a slot that nobody can open and nobody can tell from another: a true wrap of zeros for a
/// key that is thrown away. Random bytes would not do: compressed ML-KEM ciphertexts and X25519
/// keys are no uniform strings.
pub(super) fn decoy(rng: &mut impl CryptoRng, out: &mut Vec<u8>) -> Result<(), KemError> {
    let key = KemSecret::generate(rng).public();
    wrap(rng, &key, &[], &[], Zeroizing::new([0; SLOT_PLAINTEXT]), out)
}

/// A secret key made ready to try slots with.
pub(super) struct SlotOpener(HpkePrivate);

impl SlotOpener {
    pub(super) fn new(key: &KemSecret) -> Result<Self, KemError> {
        key.to_hpke().map(Self)
    }

    /// The plaintext, if this slot is for this key under these contexts.
    pub(super) fn unwrap_slot(
        &self,
        info: &[u8],
        associated: &[u8],
        slot: &[u8; SLOT_LEN],
    ) -> Option<SlotPlaintext> {
        let (enc, rest) = slot.split_at(ENC_LEN);
        let (sealed, tag) = rest.split_at(SLOT_PLAINTEXT);
        let enc = <XWing as Kem>::EncappedKey::from_bytes(enc).ok()?;
        let tag = AeadTag::<AesGcm256>::from_bytes(tag).ok()?;
        let mut plaintext = Zeroizing::new([0; SLOT_PLAINTEXT]);
        plaintext.copy_from_slice(sealed);
        single_shot_open_inout_detached::<AesGcm256, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.0,
            &enc,
            info,
            InOutBuf::from(plaintext.as_mut_slice()),
            associated,
            &tag,
        )
        .ok()?;
        Some(plaintext)
    }
}
