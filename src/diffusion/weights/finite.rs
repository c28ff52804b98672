//! A check of stored numbers for NaN and infinity, on their bytes as they are in the file.

use safetensors::tensor::Dtype;

/// The bits of the exponent, which are all set in NaN and in infinity alone.
const EXPONENT_F32: u32 = 0x7f80_0000;
const EXPONENT_F16: u16 = 0x7c00;
const EXPONENT_BF16: u16 = 0x7f80;

/// Whether all numbers of this type are finite; true for types that are no floating-point numbers of 16 or 32 bits.
pub(super) fn are_finite(bytes: &[u8], dtype: Dtype) -> bool {
    // Folds without an early end are vectorized.
    let halves = |exponent: u16| {
        let words = bytes.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word));
        words.fold(true, |fine, word| fine & (word & exponent != exponent))
    };
    match dtype {
        Dtype::F16 => halves(EXPONENT_F16),
        Dtype::BF16 => halves(EXPONENT_BF16),
        Dtype::F32 => {
            let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
            words.fold(true, |fine, word| fine & (word & EXPONENT_F32 != EXPONENT_F32))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits are those of IEEE 754; bf16 is the upper half of f32.
    #[test]
    fn nan_and_infinity_are_found_in_every_type_and_the_largest_numbers_are_not() {
        for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let of = |value: f32| [value.to_le_bytes(), 1.0_f32.to_le_bytes()].concat();
            assert!(!are_finite(&of(bad), Dtype::F32) && are_finite(&of(f32::MAX), Dtype::F32));
            assert!(!are_finite(&bad.to_le_bytes()[2..], Dtype::BF16));
        }
        for (bits, dtype, is_finite) in [
            (0x7c00_u16, Dtype::F16, false),
            (0xfc00, Dtype::F16, false),
            (0x7e01, Dtype::F16, false),
            (0x7bff, Dtype::F16, true),
            (0xfbff, Dtype::F16, true),
            (0x7c00, Dtype::BF16, true),
            (0x7f7f, Dtype::BF16, true),
            (0x7f80, Dtype::BF16, false),
        ] {
            assert_eq!(are_finite(&bits.to_le_bytes(), dtype), is_finite, "{bits:x} {dtype:?}");
        }
        assert!(are_finite(&[], Dtype::F32) && are_finite(&[0; 8], Dtype::F32));
    }
}
