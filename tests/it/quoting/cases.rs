//! Every column type with its edge values in canonical form, NULL first.

/// A column's type, what follows `NULL` in its declaration, and its values.
pub(super) type Case = (&'static str, &'static str, Vec<Option<&'static [u8]>>);

/// Stands for a SET of 64 members.
pub(super) const WIDEST: &str = "set(64)";

macro_rules! vals {
    ($($value:expr),* $(,)?) => { vec![None, $(Some(&$value[..])),*] };
}

pub(super) fn cases() -> Vec<Case> {
    static EVERY: [u8; 256] = {
        let mut a = [0u8; 256];
        let mut i = 0;
        while i < 256 {
            a[i] = i as u8;
            i += 1
        }
        a
    };
    vec![
        ("tinyint", "", vals![b"-128", b"127", b"0"]),
        ("tinyint unsigned zerofill", "", vals![b"0", b"255", b"7"]),
        ("smallint", "", vals![b"-32768", b"32767"]),
        ("mediumint", "", vals![b"-8388608", b"8388607"]),
        ("mediumint unsigned", "", vals![b"16777215"]),
        ("int", "", vals![b"-2147483648", b"0"]),
        ("int zerofill", "", vals![b"4294967295", b"0", b"12"]),
        ("bigint", "", vals![b"-9223372036854775808", b"9223372036854775807"]),
        ("bigint unsigned", "", vals![b"18446744073709551615", b"0"]),
        ("bigint unsigned zerofill", "", vals![b"18446744073709551615", b"0"]),
        (
            "decimal(65,30)",
            "",
            vals![
                b"-99999999999999999999999999999999999.999999999999999999999999999999",
                b"0.000000000000000000000000000001",
                b"0.000000000000000000000000000000"
            ],
        ),
        ("decimal(65,0)", "", vals![b"99999999999999999999999999999999999999999999999999999999999999999", b"0"]),
        ("decimal(10,2) zerofill", "", vals![b"42.10", b"0.00"]),
        (
            "float",
            "",
            vals![
                b"-3.4028234663852886e38",
                b"1.1754943508222875e-38",
                b"1.401298464324817e-45",
                b"-0",
                b"0",
                b"0.10000000149011612",
                b"16777216"
            ],
        ),
        ("float zerofill", "", vals![b"1.5"]),
        ("float(7,2)", "", vals![b"12345.669921875", b"0.10000000149011612", b"99999.9921875"]),
        (
            "double",
            "",
            vals![
                b"-1.7976931348623157e308",
                b"-2.2250738585072014e-308",
                b"5e-324",
                b"-0",
                b"0",
                b"0.1",
                b"1.2345678901234568e17",
                b"1e20"
            ],
        ),
        ("double(10,3)", "", vals![b"1234567.891", b"0.1"]),
        ("double zerofill", "", vals![b"1.5"]),
        ("bit(1)", "", vals![b"\0", b"\x01"]),
        ("bit(12)", "", vals![b"\0\0", b"\x0f\xff", b"\x05\x27"]),
        ("bit(64)", "", vals![b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\0\0\0\0\0\0\0\\", b"'\t\n\0\\\0\0\0"]),
        ("year", "", vals![b"0000", b"1901", b"2155", b"2000", b"1970"]),
        ("date", "", vals![b"0000-00-00", b"2023-00-10", b"2023-02-31", b"1000-01-01", b"9999-12-31", b"2023-05-00"]),
        ("time", "", vals![b"-838:59:59", b"838:59:59", b"00:00:00", b"-00:00:01"]),
        ("time(6)", "", vals![b"-838:59:58.999999", b"00:00:00.000001", b"-00:00:00.000001"]),
        ("time(3)", "", vals![b"-12:00:00.500"]),
        ("datetime", "", vals![b"0000-00-00 00:00:00", b"2023-02-31 23:59:59", b"9999-12-31 23:59:59"]),
        ("datetime(6)", "", vals![b"1000-01-01 00:00:00.000001", b"2024-03-31 02:30:00.999999"]),
        (
            "timestamp(6)",
            "",
            vals![
                b"0000-00-00 00:00:00.000000",
                b"1970-01-01 00:00:01.000001",
                b"2038-01-19 03:14:07.999999",
                b"2024-03-31 02:30:00.000000"
            ],
        ),
        ("timestamp", "default current_timestamp on update current_timestamp", vals![b"2001-01-01 00:00:00"]),
        ("enum('2','1','x\\'y')", "", vals![b"1", b"2", b"3", b"0"]),
        ("enum('','a') character set utf16", "", vals![b"1", b"2"]),
        ("set('2','1','4')", "", vals![b"0", b"1", b"2", b"4", b"7"]),
        (WIDEST, "", vals![b"18446744073709551615", b"9223372036854775808", b"9007199254740993"]),
        ("varchar(20) character set latin1", "", vals![b"", b"\xe4\xf6", b"\\N", b"a\tb\nc\r\0\\'\"", b"x  "]),
        ("char(10) character set utf8mb4", "", vals![b"", "äö😀".as_bytes(), b"x"]),
        ("varchar(20) character set utf8mb4", "", vals![b"trail  ", "äö😀\\\n\t".as_bytes()]),
        ("text character set utf8mb3", "", vals!["ä".as_bytes(), b"NULL"]),
        (
            "varchar(20) character set utf16",
            "",
            vals![b"\0a\0\\", b"\0\\\0'", b"\xd8\x3d\xde\x00", b"\x5c\x27", b"\x09\x0a"],
        ),
        ("varchar(20) character set ucs2", "", vals![b"\0a\x5c\x5c", b""]),
        ("char(5) character set utf32", "", vals![b"\0\0\0a\0\x01\xf6\0"]),
        ("varchar(9) character set utf16le", "", vals![b"a\0\\\0"]),
        ("varchar(20) character set sjis", "", vals![b"\x83\x5c\x83\x5c", b"\x95\x5c'"]),
        ("varchar(20) character set cp932", "", vals![b"\x83\x5c"]),
        ("varchar(20) character set gbk", "", vals![b"\xbf\x5c"]),
        ("varchar(20) character set big5", "", vals![b"\xa5\x5c"]),
        ("varchar(20) character set gb18030", "", vals![b"\x81\x30\x81\x30", b"\xbf\x5c"]),
        ("varchar(20) character set ujis", "", vals![b"\xa4\xa2"]),
        ("varchar(20) character set euckr", "", vals![b"\xb0\xa1"]),
        ("binary(4)", "", vals![b"\0\0\0\0", b"ab\0\0", b"\\\t\n'"]),
        ("varbinary(300)", "", vals![b"", EVERY]),
        ("longblob", "", vals![EVERY, b"\\\\N", b"\\N", b"N"]),
        ("tinytext character set latin1", "", vals![EVERY[1..256]]),
        (
            "json",
            "",
            vals![
                b"{\"a\": \"\\u0000 \\\" \\\\ \xc3\xa4\"}",
                b"null",
                b"[1, 2.5, -0.0, 18446744073709551615, 1e100]",
                b"\"\\t'\""
            ],
        ),
        ("geometry", "", vals![b"\0\0\0\0\x01\x01\0\0\0\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f"]),
        ("point srid 4326", "", vals![b"\xe6\x10\0\0\x01\x01\0\0\0\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xf0\x3f"]),
        ("vector(2)", "", vals![b"\x5c\x27\x80\x3f\x09\x0a\x80\xbf"]),
    ]
}
