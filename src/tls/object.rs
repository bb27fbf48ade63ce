//! What OpenSSL calls the object identifiers of certificates: attributes of names by their short names, algorithms by their
//! long ones.

/// The short name of an attribute of a distinguished name.
pub(super) fn attribute(dotted: &str) -> Option<&'static str> {
    find(ATTRIBUTES, dotted)
}

/// The long name of an algorithm of signatures or keys.
pub(super) fn algorithm(dotted: &str) -> Option<&'static str> {
    find(ALGORITHMS, dotted)
}

/// Rows of identifiers below one, with their last arcs.
type Table = &'static [(&'static str, &'static [(u16, &'static str)])];

fn find(table: Table, dotted: &str) -> Option<&'static str> {
    let (parent, arc) = dotted.rsplit_once('.')?;
    let arc: u16 = arc.parse().ok()?;
    let (_, names) = table.iter().find(|(prefix, _)| *prefix == parent)?;
    names.iter().find(|(number, _)| *number == arc).map(|(_, name)| *name)
}

const ATTRIBUTES: Table = &[
    (
        "0.9.2342.19200300.100.1",
        &[
            (1, "UID"),
            (2, "textEncodedORAddress"),
            (3, "mail"),
            (4, "info"),
            (5, "favouriteDrink"),
            (6, "roomNumber"),
            (7, "photo"),
            (8, "userClass"),
            (9, "host"),
            (10, "manager"),
            (11, "documentIdentifier"),
            (12, "documentTitle"),
            (13, "documentVersion"),
            (14, "documentAuthor"),
            (15, "documentLocation"),
            (20, "homeTelephoneNumber"),
            (21, "secretary"),
            (22, "otherMailbox"),
            (23, "lastModifiedTime"),
            (24, "lastModifiedBy"),
            (25, "DC"),
            (26, "aRecord"),
            (27, "pilotAttributeType27"),
            (28, "mXRecord"),
            (29, "nSRecord"),
            (30, "sOARecord"),
            (31, "cNAMERecord"),
            (37, "associatedDomain"),
            (38, "associatedName"),
            (39, "homePostalAddress"),
            (40, "personalTitle"),
            (41, "mobileTelephoneNumber"),
            (42, "pagerTelephoneNumber"),
            (43, "friendlyCountryName"),
            (44, "uid"),
            (45, "organizationalStatus"),
            (46, "janetMailbox"),
            (47, "mailPreferenceOption"),
            (48, "buildingName"),
            (49, "dSAQuality"),
            (50, "singleLevelQuality"),
            (51, "subtreeMinimumQuality"),
            (52, "subtreeMaximumQuality"),
            (53, "personalSignature"),
            (54, "dITRedirect"),
            (55, "audio"),
            (56, "documentPublisher"),
        ],
    ),
    (
        "1.2.643.100",
        &[
            (1, "OGRN"),
            (3, "SNILS"),
            (5, "OGRNIP"),
            (111, "subjectSignTool"),
            (112, "issuerSignTool"),
            (113, "classSignTool"),
        ],
    ),
    ("1.2.643.3.131.1", &[(1, "INN")]),
    (
        "1.2.840.113549.1.9",
        &[
            (1, "emailAddress"),
            (2, "unstructuredName"),
            (7, "challengePassword"),
            (8, "unstructuredAddress"),
            (20, "friendlyName"),
        ],
    ),
    ("1.3.6.1.4.1.311.17", &[(1, "CSPName")]),
    (
        "1.3.6.1.4.1.311.60.2.1",
        &[(1, "jurisdictionL"), (2, "jurisdictionST"), (3, "jurisdictionC")],
    ),
    (
        "1.3.6.1.5.5.7.9",
        &[
            (1, "id-pda-dateOfBirth"),
            (2, "id-pda-placeOfBirth"),
            (3, "id-pda-gender"),
            (4, "id-pda-countryOfCitizenship"),
            (5, "id-pda-countryOfResidence"),
        ],
    ),
    (
        "2.5.4",
        &[
            (3, "CN"),
            (4, "SN"),
            (5, "serialNumber"),
            (6, "C"),
            (7, "L"),
            (8, "ST"),
            (9, "street"),
            (10, "O"),
            (11, "OU"),
            (12, "title"),
            (13, "description"),
            (14, "searchGuide"),
            (15, "businessCategory"),
            (16, "postalAddress"),
            (17, "postalCode"),
            (18, "postOfficeBox"),
            (19, "physicalDeliveryOfficeName"),
            (20, "telephoneNumber"),
            (21, "telexNumber"),
            (22, "teletexTerminalIdentifier"),
            (23, "facsimileTelephoneNumber"),
            (24, "x121Address"),
            (25, "internationaliSDNNumber"),
            (26, "registeredAddress"),
            (27, "destinationIndicator"),
            (28, "preferredDeliveryMethod"),
            (29, "presentationAddress"),
            (30, "supportedApplicationContext"),
            (31, "member"),
            (32, "owner"),
            (33, "roleOccupant"),
            (34, "seeAlso"),
            (35, "userPassword"),
            (36, "userCertificate"),
            (37, "cACertificate"),
            (38, "authorityRevocationList"),
            (39, "certificateRevocationList"),
            (40, "crossCertificatePair"),
            (41, "name"),
            (42, "GN"),
            (43, "initials"),
            (44, "generationQualifier"),
            (45, "x500UniqueIdentifier"),
            (46, "dnQualifier"),
            (47, "enhancedSearchGuide"),
            (48, "protocolInformation"),
            (49, "distinguishedName"),
            (50, "uniqueMember"),
            (51, "houseIdentifier"),
            (52, "supportedAlgorithms"),
            (53, "deltaRevocationList"),
            (54, "dmdName"),
            (65, "pseudonym"),
            (72, "role"),
            (97, "organizationIdentifier"),
            (98, "c3"),
            (99, "n3"),
            (100, "dnsName"),
        ],
    ),
];

const ALGORITHMS: Table = &[
    (
        "1.2.156.10197.1",
        &[(301, "sm2"), (501, "SM2-with-SM3"), (504, "sm3WithRSAEncryption")],
    ),
    (
        "1.2.643.2.2",
        &[
            (3, "GOST R 34.11-94 with GOST R 34.10-2001"),
            (4, "GOST R 34.11-94 with GOST R 34.10-94"),
            (19, "GOST R 34.10-2001"),
            (20, "GOST R 34.10-94"),
        ],
    ),
    (
        "1.2.643.7.1.1.1",
        &[
            (1, "GOST R 34.10-2012 with 256 bit modulus"),
            (2, "GOST R 34.10-2012 with 512 bit modulus"),
        ],
    ),
    (
        "1.2.643.7.1.1.3",
        &[
            (2, "GOST R 34.10-2012 with GOST R 34.11-2012 (256 bit)"),
            (3, "GOST R 34.10-2012 with GOST R 34.11-2012 (512 bit)"),
        ],
    ),
    ("1.2.840.10040.4", &[(1, "dsaEncryption"), (3, "dsaWithSHA1")]),
    ("1.2.840.10045.2", &[(1, "id-ecPublicKey")]),
    (
        "1.2.840.10045.4",
        &[
            (1, "ecdsa-with-SHA1"),
            (2, "ecdsa-with-Recommended"),
            (3, "ecdsa-with-Specified"),
        ],
    ),
    (
        "1.2.840.10045.4.3",
        &[
            (1, "ecdsa-with-SHA224"),
            (2, "ecdsa-with-SHA256"),
            (3, "ecdsa-with-SHA384"),
            (4, "ecdsa-with-SHA512"),
        ],
    ),
    ("1.2.840.10046.2", &[(1, "X9.42 DH")]),
    (
        "1.2.840.113549.1.1",
        &[
            (1, "rsaEncryption"),
            (2, "md2WithRSAEncryption"),
            (3, "md4WithRSAEncryption"),
            (4, "md5WithRSAEncryption"),
            (5, "sha1WithRSAEncryption"),
            (10, "rsassaPss"),
            (11, "sha256WithRSAEncryption"),
            (12, "sha384WithRSAEncryption"),
            (13, "sha512WithRSAEncryption"),
            (14, "sha224WithRSAEncryption"),
            (15, "sha512-224WithRSAEncryption"),
            (16, "sha512-256WithRSAEncryption"),
        ],
    ),
    ("1.2.840.113549.1.3", &[(1, "dhKeyAgreement")]),
    (
        "1.3.101",
        &[(110, "X25519"), (111, "X448"), (112, "ED25519"), (113, "ED448")],
    ),
    (
        "1.3.14.3.2",
        &[
            (3, "md5WithRSA"),
            (12, "dsaEncryption-old"),
            (13, "dsaWithSHA"),
            (15, "shaWithRSAEncryption"),
            (27, "dsaWithSHA1-old"),
            (29, "sha1WithRSA"),
        ],
    ),
    ("1.3.36.3.3.1", &[(2, "ripemd160WithRSA")]),
    (
        "2.16.840.1.101.3.4.3",
        &[
            (1, "dsa_with_SHA224"),
            (2, "dsa_with_SHA256"),
            (3, "dsa_with_SHA384"),
            (4, "dsa_with_SHA512"),
            (5, "dsa_with_SHA3-224"),
            (6, "dsa_with_SHA3-256"),
            (7, "dsa_with_SHA3-384"),
            (8, "dsa_with_SHA3-512"),
            (9, "ecdsa_with_SHA3-224"),
            (10, "ecdsa_with_SHA3-256"),
            (11, "ecdsa_with_SHA3-384"),
            (12, "ecdsa_with_SHA3-512"),
            (13, "RSA-SHA3-224"),
            (14, "RSA-SHA3-256"),
            (15, "RSA-SHA3-384"),
            (16, "RSA-SHA3-512"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_openssl() {
        let attributes = [
            ("2.5.4.3", "CN"),
            ("1.2.840.113549.1.9.1", "emailAddress"),
            ("0.9.2342.19200300.100.1.1", "UID"),
        ];
        for (oid, name) in attributes {
            assert_eq!(attribute(oid), Some(name));
        }
        let algorithms = [
            ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
            ("1.3.101.112", "ED25519"),
        ];
        for (oid, name) in algorithms {
            assert_eq!(algorithm(oid), Some(name));
        }
        for unknown in ["2.5.4.999", "2.5.4", "", "2.5.4.70000", "1.3.6.1.4.1.99999.1"] {
            assert_eq!(attribute(unknown), None, "{unknown}");
        }
    }
}
