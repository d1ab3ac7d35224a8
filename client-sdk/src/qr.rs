//! QR codes: drawn for a terminal, as SVG and as PNG, and read back from a picture.
//!
//! Pictures come from outside, so their size is checked before they are decoded. Not here: what the
//! text means (contact cards, network cards).

use std::fmt;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits, imageops};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::error::{Error, ErrorKind};

/// Light modules around a code, as the standard asks.
const QUIET: usize = 4;

/// Pixels a module in pictures: a contact card becomes about 500 pixels wide.
const SCALE: u32 = 8;

/// Bytes of a picture file that are read: any telephone's photograph.
const FILE_MAX: u64 = 32 << 20;

/// Width and height of a picture that is decoded, pixels: a 100-megapixel camera's.
const SIDE_MAX: u32 = 12_000;

/// Bytes a decoder may allocate: 60 megapixels of four bytes.
const ALLOCATION_MAX: u64 = 256 << 20;

/// Pictures with a longer side than this, in pixels, are also looked at in small: the finder misses
/// codes whose modules are large and grainy.
const SMALL_SIDE: u32 = 1000;

/// Why a text is no code, or a picture holds none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QrError {
    /// More text than the largest code holds.
    #[error("{len} characters do not fit a QR code: hand the text over as it is")]
    TooLong {
        /// Bytes of the text.
        len: usize,
    },
    /// The file cannot be read.
    #[error("the picture cannot be read: check its name and that it is a file")]
    File(#[source] std::io::Error),
    /// More bytes or pixels than are decoded.
    #[error("the picture is too large: cut it to the QR code, at most {SIDE_MAX} pixels a side")]
    TooLarge,
    /// Not a PNG or JPEG.
    #[error("the file is not a PNG or JPEG picture: save the picture as one of these")]
    Format(#[source] image::ImageError),
    /// A picture could not be written.
    #[error("the picture could not be made: ask for the text instead")]
    Encode(#[source] image::ImageError),
    /// No code was found.
    #[error("no QR code was found: take a sharp, straight picture with a light margin around it")]
    NotFound,
    /// Codes were found, but none that reads.
    #[error("a QR code was found but does not read: take a sharper picture, without glare")]
    Unreadable,
    /// Codes of different texts.
    #[error("the picture shows {found} QR codes: cut it to the one that is meant")]
    Several {
        /// Texts found.
        found: usize,
    },
}

impl From<QrError> for Error {
    fn from(error: QrError) -> Self {
        let kind = match error {
            QrError::TooLong { .. } => ErrorKind::QrTooLong,
            QrError::File(_) | QrError::Encode(_) => ErrorKind::File,
            QrError::TooLarge
            | QrError::Format(_)
            | QrError::NotFound
            | QrError::Unreadable
            | QrError::Several { .. } => ErrorKind::QrUnreadable,
        };
        Self::new(kind, error.to_string()).with_source(error)
    }
}

/// A QR code of medium error correction.
#[derive(Clone)]
pub struct Qr {
    code: QrCode,
}

impl fmt::Debug for Qr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Qr({0} by {0} modules)", self.width())
    }
}

impl Qr {
    /// The code of a text. Capitals, digits and `:` alone make it a third smaller.
    pub fn new(text: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M);
        code.map(|code| Self { code }).map_err(|_| QrError::TooLong { len: text.len() })
    }

    /// Modules a side, without the margin.
    pub fn width(&self) -> usize {
        self.code.width()
    }

    /// Lines of half blocks that draw the *light* modules, for terminals that write light on dark.
    pub fn to_terminal(&self) -> String {
        self.half_blocks("", "", |top, bottom| match (top, bottom) {
            (true, true) => ' ',
            (true, false) => '▄',
            (false, true) => '▀',
            (false, false) => '█',
        })
    }

    /// Lines of half blocks that draw the dark modules, with the colours stated, for any terminal.
    pub fn to_colour_terminal(&self) -> String {
        self.half_blocks("\u{1b}[30;107m", "\u{1b}[0m", |top, bottom| match (top, bottom) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        })
    }

    /// An SVG picture.
    pub fn to_svg(&self) -> String {
        self.code.render::<svg::Color<'_>>().module_dimensions(SCALE, SCALE).build()
    }

    /// A PNG picture in shades of grey.
    pub fn to_png(&self) -> Result<Vec<u8>, QrError> {
        let mut bytes = Vec::new();
        self.to_image(SCALE)
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(QrError::Encode)?;
        Ok(bytes)
    }

    fn to_image(&self, scale: u32) -> GrayImage {
        let modules = u32::try_from(self.width() + 2 * QUIET).unwrap_or(u32::MAX);
        let side = modules.saturating_mul(scale);
        GrayImage::from_fn(side, side, |x, y| {
            let is_dark = self.is_dark((x / scale) as usize, (y / scale) as usize);
            image::Luma([if is_dark { 0 } else { 255 }])
        })
    }

    /// Whether a module is dark, counted from the corner of the margin.
    fn is_dark(&self, x: usize, y: usize) -> bool {
        let inside = QUIET..QUIET + self.width();
        inside.contains(&x)
            && inside.contains(&y)
            && self.code[(x - QUIET, y - QUIET)] == qrcode::Color::Dark
    }

    fn half_blocks(&self, begin: &str, end: &str, block: impl Fn(bool, bool) -> char) -> String {
        let side = self.width() + 2 * QUIET;
        let mut lines = String::with_capacity(side * side * 2);
        for y in (0..side).step_by(2) {
            lines.push_str(begin);
            lines.extend((0..side).map(|x| block(self.is_dark(x, y), self.is_dark(x, y + 1))));
            lines.push_str(end);
            lines.push('\n');
        }
        lines
    }
}

/// Reads the one QR code of a PNG or JPEG file.
pub fn read_file(path: &Path) -> Result<String, QrError> {
    let file = File::open(path).map_err(QrError::File)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(QrError::File)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(QrError::TooLarge);
    }
    read_bytes(&bytes)
}

/// Reads the one QR code of a PNG or JPEG picture.
pub fn read_bytes(bytes: &[u8]) -> Result<String, QrError> {
    let picture = decode(bytes)?;
    let mut result = read_picture(&picture);
    for change in [halved, resized, negative] {
        if !matches!(result, Err(QrError::NotFound | QrError::Unreadable)) {
            break;
        }
        result = match (read_picture(&change(&picture)), result) {
            // That a code was found is worth more than that none was.
            (Err(QrError::NotFound), before) => before,
            (now, _) => now,
        };
    }
    result
}

fn decode(bytes: &[u8]) -> Result<GrayImage, QrError> {
    let format = image::guess_format(bytes).map_err(QrError::Format)?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(ALLOCATION_MAX);
    reader.limits(limits);
    match reader.decode() {
        Ok(picture) => Ok(on_white(picture)),
        Err(image::ImageError::Limits(_)) => Err(QrError::TooLarge),
        Err(error) => Err(QrError::Format(error)),
    }
}

/// Shades of grey, with what is transparent laid on white.
fn on_white(picture: DynamicImage) -> GrayImage {
    if !picture.color().has_alpha() {
        return picture.into_luma8();
    }
    let picture = picture.into_luma_alpha8();
    GrayImage::from_fn(picture.width(), picture.height(), |x, y| {
        let image::LumaA([luma, alpha]) = *picture.get_pixel(x, y);
        let (luma, alpha) = (u16::from(luma), u16::from(alpha));
        let blended = (luma * alpha + 255 * (255 - alpha)) / 255;
        image::Luma([u8::try_from(blended).unwrap_or(u8::MAX)])
    })
}

/// Half the size: grain is averaged away.
fn halved(picture: &GrayImage) -> GrayImage {
    imageops::thumbnail(picture, picture.width().div_ceil(2), picture.height().div_ceil(2))
}

/// Large pictures down to [`SMALL_SIDE`], small ones three times as large.
fn resized(picture: &GrayImage) -> GrayImage {
    let (width, height) = picture.dimensions();
    let longer = width.max(height);
    if longer > SMALL_SIDE {
        let scale = |side: u32| (side * SMALL_SIDE / longer).max(1);
        imageops::thumbnail(picture, scale(width), scale(height))
    } else {
        imageops::resize(picture, 3 * width, 3 * height, imageops::FilterType::Nearest)
    }
}

/// Light on dark, as terminals draw it.
fn negative(picture: &GrayImage) -> GrayImage {
    let mut negative = picture.clone();
    imageops::invert(&mut negative);
    negative
}

fn read_picture(picture: &GrayImage) -> Result<String, QrError> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels = picture.as_raw();
    let mut prepared =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let grids = prepared.detect_grids();
    if grids.is_empty() {
        return Err(QrError::NotFound);
    }
    let texts = grids.iter().filter_map(|grid| grid.decode().ok().map(|(_, text)| text));
    let mut texts: Vec<String> = texts.collect();
    texts.sort_unstable();
    texts.dedup();
    match texts.len() {
        0 => Err(QrError::Unreadable),
        1 => Ok(texts.swap_remove(0)),
        found => Err(QrError::Several { found }),
    }
}

#[cfg(test)]
mod tests;
