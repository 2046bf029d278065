use proptest::prelude::*;

use super::*;

const V1_MAX: usize = v1::MAX_SIZE;

fn required() -> ProxyProtocol {
    ProxyProtocol::required(TrustedProxies::list(["10.0.0.0/8"]).unwrap())
}

fn optional() -> ProxyProtocol {
    ProxyProtocol::optional(TrustedProxies::list(["10.0.0.0/8"]).unwrap())
}

fn tcp(address: &str) -> Address {
    Address::Tcp(address.parse().unwrap())
}

fn ends(client: &str, server: &str) -> Option<(Address, Address)> {
    Some((tcp(client), tcp(server)))
}

fn done(bytes: &[u8]) -> ProxyHeader {
    match required().read(bytes) {
        Ok(Progress::Done(header, consumed)) => {
            assert_eq!(consumed, bytes.len());
            header
        }
        other => panic!("{other:?} of {}", bytes.escape_ascii()),
    }
}

/// A header of version 2.
fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut header = v2::SIGNATURE.to_vec();
    header.extend([command, family]);
    header.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    header.extend(block);
    header
}

/// The addresses of TCP over IPv4: 192.0.2.1:56324 to 198.51.100.2:443.
const IPV4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb];

fn extra(kind: u8, value: &[u8]) -> Vec<u8> {
    let mut extra = vec![kind];
    extra.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
    extra.extend(value);
    extra
}

/// A header of version 2 for TCP over IPv4 with these extras and a checksum behind them.
fn with_checksum(extras: &[u8]) -> Vec<u8> {
    let block = [IPV4, extras, &extra(0x03, &[0; 4])].concat();
    let mut header = v2(0x21, 0x11, &block);
    let at = header.len() - 4;
    let sum = v2::checksum(&header, at);
    header[at..].copy_from_slice(&sum.to_be_bytes());
    header
}

#[test]
fn version_1_names_client_and_server() {
    for (line, expected) in [
        (
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
            ends("192.0.2.1:56324", "198.51.100.2:443"),
        ),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            ends("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        (
            "PROXY TCP6 2001:db8::1 ::1 0 443\r\n",
            ends("[2001:db8::1]:0", "[::1]:443"),
        ),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN ::1 whatever \u{fc} stands here\r\n", None),
    ] {
        let header = done(line.as_bytes());
        assert_eq!(header.ends, expected, "{line:?}");
        assert!(!header.is_tls);
    }
}

#[test]
fn malformed_lines_are_refused() {
    for line in [
        "TCP5 1.2.3.4 1.2.3.4 1 2",
        "TCP4",
        "TCP4 1.2.3.4 1.2.3.4 1",
        "TCP4 1.2.3.4 1.2.3.4 1 2 3",
        "TCP4 1.2.3.4 1.2.3.4 1 2 ",
        "TCP4  1.2.3.4 1.2.3.4 1 2",
        "TCP4 1.2.3.04 1.2.3.4 1 2",
        "TCP4 1.2.3 1.2.3.4 1 2",
        "TCP4 ::1 ::1 1 2",
        "TCP6 1.2.3.4 1.2.3.4 1 2",
        "TCP6 ::1%eth0 ::1 1 2",
        "TCP4 1.2.3.4 1.2.3.4 01 2",
        "TCP4 1.2.3.4 1.2.3.4 +1 2",
        "TCP4 1.2.3.4 1.2.3.4 1 65536",
        "TCP4 1.2.3.4 1.2.3.4 1 -2",
        "TCP4 1.2.3.4 1.2.3.4 1 2\r",
        "TCP4 1.2.3.4 1.2.3.4 1 2\n",
        "tcp4 1.2.3.4 1.2.3.4 1 2",
        "UNKNOWNS",
        "",
    ] {
        let result = required().read(format!("PROXY {line}\r\n").as_bytes());
        assert!(
            matches!(result, Err(ProxyProtocolError::Malformed(_))),
            "{line:?}: {result:?}"
        );
    }
}

#[test]
fn a_line_has_107_bytes_at_most() {
    let line = |len: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(len - 2, b'x');
        line.extend(b"\r\n");
        line
    };
    assert_eq!(done(&line(V1_MAX)), ProxyHeader::default());
    let error = Err(ProxyProtocolError::TooLong { limit: 107 });
    assert_eq!(required().read(&line(V1_MAX + 1)), error);
    assert_eq!(required().read(&line(V1_MAX + 1)[..V1_MAX]), error);
    assert_eq!(
        required().read(&line(V1_MAX + 1)[..V1_MAX - 1]),
        Ok(Progress::More)
    );
}

#[test]
fn version_2_names_client_and_server() {
    let header = done(&v2(0x21, 0x11, IPV4));
    assert_eq!(header.ends, ends("192.0.2.1:56324", "198.51.100.2:443"));

    let mut ipv6 = [0; 36];
    ipv6[15] = 1;
    ipv6[31] = 2;
    ipv6[32..].copy_from_slice(&[0, 80, 1, 187]);
    let header = done(&v2(0x21, 0x21, &ipv6));
    assert_eq!(header.ends, ends("[::1]:80", "[::2]:443"));

    let mut unix = [0; 216];
    unix[..4].copy_from_slice(b"/tmp");
    let header = done(&v2(0x21, 0x31, &unix));
    let expected = (Address::Unix(Some("/tmp".into())), Address::Unix(None));
    assert_eq!(header.ends, Some(expected));
}

#[test]
fn a_proxy_that_speaks_for_itself_names_nobody() {
    for header in [
        v2(0x20, 0x00, b""),
        // "Discard the protocol block including the family which is ignored."
        v2(0x20, 0x11, IPV4),
        v2(0x20, 0x77, b"what is this"),
        v2(0x21, 0x00, b""),
        v2(0x21, 0x00, &extra(0x04, b"padding")),
        v2(0x21, 0x12, IPV4),
        v2(0x21, 0x22, &[0; 36]),
        v2(0x21, 0x32, &[0; 216]),
    ] {
        assert_eq!(done(&header).ends, None, "{}", header.escape_ascii());
    }
}

#[test]
fn extras_tell_of_tls_and_names() {
    let extras = [
        extra(0x02, b"example.com"),
        extra(0x05, b"\x00\xffid"),
        extra(0x20, &[1, 0, 0, 0, 0]),
        extra(0xe0, b"private use"),
    ]
    .concat();
    for header in [v2(0x21, 0x11, &[IPV4, &extras].concat()), with_checksum(&extras)] {
        let header = done(&header);
        assert!(header.is_tls);
        assert_eq!(header.server_name.as_deref(), Some("example.com"));
        assert_eq!(header.unique_id.as_deref(), Some(&b"\x00\xffid"[..]));
    }
    let plain = [IPV4, &extra(0x20, &[0, 0, 0, 0, 0])].concat();
    assert!(!done(&v2(0x21, 0x11, &plain)).is_tls);
}

#[test]
fn malformed_blocks_are_refused() {
    let with = |extras: &[u8]| v2(0x21, 0x11, &[IPV4, extras].concat());
    for header in [
        v2(0x31, 0x11, IPV4),
        v2(0x11, 0x11, IPV4),
        v2(0x22, 0x11, IPV4),
        v2(0x21, 0x13, IPV4),
        v2(0x21, 0x41, IPV4),
        v2(0x21, 0x11, &IPV4[1..]),
        v2(0x21, 0x12, &IPV4[1..]),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x31, &[0; 215]),
        with(b"\x02"),
        with(b"\x02\x00"),
        with(b"\x02\x00\x02x"),
        with(&extra(0x02, b"\xff")),
        with(&extra(0x05, &[0; 129])),
        with(&extra(0x20, b"")),
        with(&extra(0x03, b"123")),
    ] {
        let result = required().read(&header);
        assert!(
            matches!(result, Err(ProxyProtocolError::Malformed(_))),
            "{}: {result:?}",
            header.escape_ascii()
        );
    }
}

#[test]
fn a_wrong_checksum_is_refused() {
    // The check value of CRC32c.
    assert_eq!(v2::checksum(b"123456789", 9), 0xe306_9283);
    let good = with_checksum(b"");
    done(&good);
    for at in [FAMILY_LEN, 20, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert!(required().read(&bad).is_err(), "byte {at}");
    }
    let mut bad = good;
    bad[20] ^= 1;
    assert_eq!(required().read(&bad), Err(ProxyProtocolError::Checksum));
}

/// Where the length stands.
const FAMILY_LEN: usize = 15;

#[test]
fn a_block_over_the_limit_is_refused_by_its_length_alone() {
    let limited = required().max_size(LEAST_MAX_SIZE);
    limited.check().unwrap();
    let fits = v2(0x21, 0x31, &[0; 216]);
    assert!(matches!(limited.read(&fits), Ok(Progress::Done(..))));
    let over = v2(0x21, 0x31, &[0; 217]);
    assert_eq!(
        limited.read(&over[..16]),
        Err(ProxyProtocolError::TooLong {
            limit: LEAST_MAX_SIZE
        })
    );
    required().max_size(LEAST_MAX_SIZE - 1).check().unwrap_err();
}

#[test]
fn without_a_header_it_depends_on_whether_one_is_required() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PUT / HTTP/1.1\r\n",
        b"PROPFIND / HTTP/1.1\r\n",
        b"PROXY",
        b"PROXY\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"\r\nGET / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nQUIP\n",
    ] {
        if bytes == b"PROXY" {
            assert_eq!(required().read(bytes), Ok(Progress::More));
            continue;
        }
        assert_eq!(required().read(bytes), Err(ProxyProtocolError::Missing));
        assert_eq!(optional().read(bytes), Ok(Progress::Absent));
    }
    assert_eq!(optional().read(b""), Ok(Progress::More));
}

#[test]
fn only_trusted_peers_are_heard() {
    assert!(required().concerns(&tcp("10.1.2.3:4")));
    assert!(!required().concerns(&tcp("192.0.2.1:4")));
    assert!(!required().concerns(&Address::Unix(None)));
}

/// What comes out when the bytes arrive one by one: the first answer that is not "more".
fn one_by_one(protocol: &ProxyProtocol, bytes: &[u8]) -> Result<Progress, ProxyProtocolError> {
    (0..=bytes.len())
        .map(|len| protocol.read(&bytes[..len]))
        .find(|answer| *answer != Ok(Progress::More))
        .unwrap_or(Ok(Progress::More))
}

/// Bytes that are a header, almost one, or anything.
fn input() -> impl Strategy<Value = Vec<u8>> {
    let line = "PROXY (TCP4|TCP6|UNKNOWN|TCP)( [0-9a-f:.]{0,39}){0,4}(\r\n|\r|\n|)";
    let block = (
        prop_oneof![Just(0x20), Just(0x21), any::<u8>()],
        prop_oneof![Just(0x11), Just(0x21), Just(0x31), any::<u8>()],
        prop::collection::vec(any::<u8>(), 0..300),
    )
        .prop_map(|(command, family, block)| v2(command, family, &block));
    let extras = prop::collection::vec((0u8..0x24, prop::collection::vec(any::<u8>(), 0..20)), 0..5)
        .prop_map(|extras| {
            let extras: Vec<_> = extras
                .iter()
                .flat_map(|(kind, value)| extra(*kind, value))
                .collect();
            with_checksum(&extras)
        });
    let head = prop_oneof![
        line.prop_map(String::into_bytes),
        block,
        extras,
        prop::collection::vec(any::<u8>(), 0..64),
    ];
    (head, prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(head, tail)| [head, tail].concat())
}

proptest! {
    #[test]
    fn every_cut_gives_the_same_answer(bytes in input(), is_required: bool) {
        let protocol = if is_required { required() } else { optional() };
        let whole = protocol.read(&bytes);
        prop_assert_eq!(one_by_one(&protocol, &bytes), whole.clone());
        if let Ok(Progress::Done(_, consumed)) = whole {
            prop_assert!(consumed <= bytes.len());
        }
    }

    #[test]
    fn more_is_asked_for_only_below_the_limits(bytes in input()) {
        if required().read(&bytes) == Ok(Progress::More) {
            prop_assert!(bytes.len() < 4096);
        }
    }

    #[test]
    fn a_line_of_any_ends_is_read_back(client: SocketAddr, server: std::net::IpAddr, port: u16) {
        prop_assume!(client.is_ipv4() == server.is_ipv4());
        let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {} {server} {} {port}\r\n", client.ip(), client.port());
        let header = done(line.as_bytes());
        let expected = (
            Address::Tcp(SocketAddr::new(client.ip(), client.port())),
            Address::Tcp(SocketAddr::new(server, port)),
        );
        prop_assert_eq!(header.ends, Some(expected));
    }
}
