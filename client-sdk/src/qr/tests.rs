//! What is drawn is read back, also through what happens to pictures on their way.

use image::{Luma, LumaA, RgbImage};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

/// As long as a contact card with a name.
fn card() -> String {
    format!("ENJAMBRE:{}", "AEBAGBAFAYDQQCIK".repeat(12))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

fn png(picture: &GrayImage) -> Vec<u8> {
    written(&DynamicImage::ImageLuma8(picture.clone()), ImageFormat::Png)
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Vec::new();
    picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
    bytes
}

fn drawn(scale: u32) -> GrayImage {
    Qr::new(&card()).unwrap().to_image(scale)
}

#[test]
fn png_is_read_back() {
    let bytes = Qr::new(&card()).unwrap().to_png().unwrap();
    assert_eq!(read_bytes(&bytes).unwrap(), card());
}

#[test]
fn every_scale_is_read_back() {
    for scale in [1, 2, 3, 5, 8, 20, 40] {
        assert_eq!(read_bytes(&png(&drawn(scale))).unwrap(), card(), "{scale} pixels a module");
    }
}

#[test]
fn uneven_scale_is_read_back() {
    let picture = drawn(8);
    for side in [301, 444, 733] {
        let scaled = imageops::resize(&picture, side, side, imageops::FilterType::Triangle);
        assert_eq!(read_bytes(&png(&scaled)).unwrap(), card(), "{side} pixels a side");
    }
}

#[test]
fn every_quarter_turn_is_read_back() {
    let picture = drawn(5);
    let quarter = imageops::rotate90(&picture);
    for turned in [quarter.clone(), imageops::rotate180(&picture), imageops::rotate270(&picture)] {
        assert_eq!(read_bytes(&png(&turned)).unwrap(), card());
    }
}

#[test]
fn grain_and_grey_light_are_read_through() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut picture = drawn(8);
    for Luma([luma]) in picture.pixels_mut() {
        let grain = rng.next_u32() % 61;
        let faded = 60 + u32::from(*luma) / 2; // Between 60 and 187.
        *luma = u8::try_from(faded + grain - 30).unwrap();
    }
    assert_eq!(read_bytes(&png(&picture)).unwrap(), card());
}

#[test]
fn jpeg_is_read_back() {
    let picture = DynamicImage::ImageRgb8(DynamicImage::ImageLuma8(drawn(6)).into_rgb8());
    assert_eq!(read_bytes(&written(&picture, ImageFormat::Jpeg)).unwrap(), card());
}

#[test]
fn negative_and_transparent_pictures_are_read_back() {
    let mut negative = drawn(6);
    imageops::invert(&mut negative);
    assert_eq!(read_bytes(&png(&negative)).unwrap(), card());
    let plain = drawn(6);
    let clear = image::ImageBuffer::from_fn(plain.width(), plain.height(), |x, y| {
        LumaA([0, 255 - plain.get_pixel(x, y).0[0]])
    });
    let clear = written(&DynamicImage::ImageLumaA8(clear), ImageFormat::Png);
    assert_eq!(read_bytes(&clear).unwrap(), card());
}

/// Both terminal drawings, put back into pixels.
#[test]
fn terminal_drawings_are_read_back() {
    let qr = Qr::new(&card()).unwrap();
    let colour = qr.to_colour_terminal();
    let colour = colour.replace("\u{1b}[30;107m", "").replace("\u{1b}[0m", "");
    for (lines, ink) in [(qr.to_terminal(), 255), (colour, 0)] {
        let rows: Vec<Vec<char>> = lines.lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (rows[0].len(), 2 * rows.len());
        assert!(rows.iter().all(|row| row.len() == width));
        let picture = GrayImage::from_fn(4 * count(width), 4 * count(height), |x, y| {
            let (x, y) = (x as usize / 4, y as usize / 4);
            let is_inked = match rows[y / 2][x] {
                '█' => true,
                '▀' => y % 2 == 0,
                '▄' => y % 2 == 1,
                _ => false,
            };
            Luma([if is_inked { ink } else { 255 - ink }])
        });
        assert_eq!(read_bytes(&png(&picture)).unwrap(), card());
    }
}

/// The path of the SVG, put back into pixels.
#[test]
fn svg_is_read_back() {
    let qr = Qr::new(&card()).unwrap();
    let svg = qr.to_svg();
    let side = count(qr.width() + 2 * QUIET) * SCALE;
    assert!(svg.contains(&format!("viewBox=\"0 0 {side} {side}\"")));
    let path = svg.split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let mut picture = GrayImage::from_pixel(side, side, Luma([255]));
    for rectangle in path.split('M').filter(|part| !part.is_empty()) {
        let numbers: Vec<u32> = rectangle
            .split(|c: char| !c.is_ascii_digit())
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().unwrap())
            .collect();
        let [left, top, width, height, ..] = numbers[..] else { panic!("{rectangle}") };
        for (x, y) in (0..width).flat_map(|x| (0..height).map(move |y| (left + x, top + y))) {
            picture.put_pixel(x, y, Luma([0]));
        }
    }
    assert_eq!(read_bytes(&png(&picture)).unwrap(), card());
}

fn beside(left: &str, right: &str) -> Vec<u8> {
    let codes = [left, right].map(|text| Qr::new(text).unwrap().to_image(6));
    let width = codes[0].width() + codes[1].width();
    let mut both =
        GrayImage::from_pixel(width, codes[0].height().max(codes[1].height()), Luma([255]));
    imageops::replace(&mut both, &codes[0], 0, 0);
    imageops::replace(&mut both, &codes[1], i64::from(codes[0].width()), 0);
    png(&both)
}

#[test]
fn two_different_codes_are_refused_and_two_same_ones_are_not() {
    let error = read_bytes(&beside("ENJAMBRE:ANA", "ENJAMBRE:BEN")).unwrap_err();
    assert!(matches!(error, QrError::Several { found: 2 }), "{error}");
    assert_eq!(read_bytes(&beside("ENJAMBRE:ANA", "ENJAMBRE:ANA")).unwrap(), "ENJAMBRE:ANA");
}

#[test]
fn picture_without_a_code_says_what_to_do() {
    let blank = GrayImage::from_pixel(200, 200, Luma([255]));
    let error = read_bytes(&png(&blank)).unwrap_err();
    assert!(matches!(error, QrError::NotFound), "{error}");
    assert!(error.to_string().contains("light margin"));
}

#[test]
fn destroyed_code_is_not_half_read() {
    let mut picture = drawn(6);
    let (width, height) = picture.dimensions();
    for (x, y) in (width / 3..2 * width / 3).flat_map(|x| (height / 3..height).map(move |y| (x, y)))
    {
        picture.put_pixel(x, y, Luma([0]));
    }
    assert!(read_bytes(&png(&picture)).is_err());
}

/// A picture of two pixels whose header promises more than is decoded.
#[test]
fn huge_picture_is_refused_by_its_header() {
    let mut bytes = written(&DynamicImage::ImageRgb8(RgbImage::new(2, 1)), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&(SIDE_MAX + 1).to_be_bytes());
    let checksum = crc(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
    let error = read_bytes(&bytes).unwrap_err();
    assert!(matches!(error, QrError::TooLarge), "{error:?}");
}

/// The CRC-32 of PNG chunks.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn other_files_are_refused() {
    for bytes in [b"".as_slice(), b"GIF89a\x01\0\x01\0", b"enjambre:text", &[0xff; 100]] {
        assert!(matches!(read_bytes(bytes), Err(QrError::Format(_))));
    }
    assert!(matches!(read_file(Path::new("/no/such/file")), Err(QrError::File(_))));
}

#[test]
fn text_that_fits_no_code_is_refused() {
    assert!(matches!(Qr::new(&"a".repeat(2400)), Err(QrError::TooLong { len: 2400 })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_comes_back(text in "[ -~áéñ中]{1,120}") {
        let bytes = Qr::new(&text).unwrap().to_png().unwrap();
        prop_assert_eq!(read_bytes(&bytes).unwrap(), text);
    }

    #[test]
    fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..600), seed in any::<u64>()) {
        let mut picture = Qr::new("ENJAMBRE").unwrap().to_png().unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        for byte in &mut bytes {
            let at = rng.next_u32() as usize % picture.len();
            *byte = std::mem::replace(&mut picture[at], *byte);
        }
        let _ = read_bytes(&picture);
        let _ = read_bytes(&bytes);
    }

    /// Modules drawn at random, with a code's three corners in place, reach the decoder.
    #[test]
    fn no_modules_panic(seed in any::<u64>()) {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let qr = Qr::new(&card()).unwrap();
        let flips = rng.next_u32() % 100;
        let noise: Vec<bool> = (0..10_000).map(|_| rng.next_u32() % 100 < flips).collect();
        let side = count(qr.width() + 2 * QUIET);
        let picture = GrayImage::from_fn(4 * side, 4 * side, |x, y| {
            let (x, y) = ((x / 4) as usize, (y / 4) as usize);
            let corner = |v: usize| v < 13 || v >= side as usize - 13;
            let is_kept = corner(x) && corner(y);
            let is_dark = qr.is_dark(x, y) ^ (!is_kept && noise[(y * 97 + x) % noise.len()]);
            Luma([if is_dark { 0 } else { 255 }])
        });
        let _ = read_picture(&picture);
    }
}
