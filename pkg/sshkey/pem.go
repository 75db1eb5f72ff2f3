package sshkey

import (
	"encoding/asn1"
	"encoding/base64"
	"slices"
	"strings"
)

// A pemBlock is the first PEM block that OpenSSL would take for a private key.
type pemBlock struct {
	name   string // "RSA PRIVATE KEY"
	header map[string]string
	body   string // base64 without blanks
	gap    bool   // a blank line where OpenSSL allows none
	ended  bool
}

// findPEM looks for a private key's block as PEM_read_bio_PrivateKey() does:
// text before it, a byte order mark, CR LF and a missing last newline do not
// disturb it.
func findPEM(data []byte) (pemBlock, bool) {
	text := strings.TrimPrefix(string(data), "\xef\xbb\xbf")
	var b pemBlock
	var body strings.Builder
	blank := false // a blank line ends the headers, there or not, and may come once only
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n\v\f")
		name, value, isHeader := strings.Cut(line, ":")
		switch {
		case b.name == "":
			name, ok := strings.CutPrefix(line, "-----BEGIN ")
			name, ok2 := strings.CutSuffix(name, "-----")
			if ok && ok2 && pemFormats[name] != "" {
				b.name, b.header = name, map[string]string{}
			}
			continue
		case line == "-----END "+b.name+"-----":
			b.ended = true
		case line == "":
			b.gap = b.gap || blank || body.Len() > 0
			blank = true
		case isHeader && body.Len() == 0:
			b.header[name] = strings.TrimLeft(value, " ")
		default:
			body.WriteString(line)
		}
		if b.ended {
			break
		}
	}
	b.body = body.String()
	return b, b.name != ""
}

var pemFormats = map[string]string{
	"RSA PRIVATE KEY":       "pkcs1",
	"DSA PRIVATE KEY":       "dsa",
	"EC PRIVATE KEY":        "sec1",
	"PRIVATE KEY":           "pkcs8",
	"ENCRYPTED PRIVATE KEY": "pkcs8",
}

func openPEM(b pemBlock) (Envelope, error) {
	if !b.ended {
		return Envelope{}, damaged("cut off: the END line is missing", hintBackup)
	}
	if b.gap {
		return Envelope{}, damaged("a blank line in it", "take the blank line out")
	}
	der, err := base64.StdEncoding.DecodeString(b.body)
	if err != nil {
		return Envelope{}, damaged("its base64 is broken", hintBackup)
	}
	e := Envelope{Format: pemFormats[b.name], Cipher: "none", KDF: "none"}
	if b.name == "ENCRYPTED PRIVATE KEY" {
		e.Encrypted, e.Cipher, e.KDF = true, "", ""
	}
	if strings.HasPrefix(b.header["Proc-Type"], "4,ENCRYPTED") {
		cipher, _, _ := strings.Cut(b.header["DEK-Info"], ",")
		if cipher == "" {
			return Envelope{}, damaged("its DEK-Info header is missing", hintBackup)
		}
		e.Encrypted, e.Cipher, e.KDF = true, strings.ToLower(cipher), ""
		block := 8
		if strings.HasPrefix(e.Cipher, "aes") {
			block = 16
		}
		if len(der) == 0 || len(der)%block != 0 {
			return Envelope{}, damaged("cut off: half a block at its end", hintBackup)
		}
		return e, nil
	}
	if err := checkDER(b.name, der); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// The algorithms and curves that ssh takes from PEM.
var (
	oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidDSA = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}
	oidEC  = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}

	oidCurves = []asn1.ObjectIdentifier{
		{1, 2, 840, 10045, 3, 1, 7}, // nistp256
		{1, 3, 132, 0, 34},          // nistp384
		{1, 3, 132, 0, 35},          // nistp521
	}
)

// checkEC checks an ECPrivateKey; PKCS#8 names its curve outside.
func checkEC(der []byte, curve asn1.ObjectIdentifier) error {
	var key struct {
		Version int
		Secret  []byte
		Curve   asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
		Public  asn1.BitString        `asn1:"optional,explicit,tag:1"`
	}
	if _, err := asn1.Unmarshal(der, &key); err != nil {
		return damaged("its fields are damaged", hintBackup)
	}
	if curve == nil {
		curve = key.Curve
	}
	if !slices.ContainsFunc(oidCurves, curve.Equal) {
		return foreign("ECDSA on a curve that OpenSSH does not have", "")
	}
	return nil
}

// checkDER checks the outer fields of a key: PKCS#1 (RFC 8017 A.1.2), DSA,
// SEC 1 (RFC 5915), PKCS#8 (RFC 5958).
func checkDER(name string, der []byte) error {
	torn := damaged("its fields are damaged", hintBackup)
	var fields []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &fields); err != nil {
		return torn
	}
	numbers := func(n int) error {
		if len(fields) < n || slices.ContainsFunc(fields[:n], func(f asn1.RawValue) bool {
			return f.Class != asn1.ClassUniversal || f.Tag != asn1.TagInteger || f.IsCompound
		}) {
			return torn
		}
		return nil
	}
	switch name {
	case "RSA PRIVATE KEY":
		return numbers(9)
	case "DSA PRIVATE KEY":
		return numbers(6)
	case "EC PRIVATE KEY":
		return checkEC(der, nil)
	case "ENCRYPTED PRIVATE KEY":
		if len(fields) != 2 {
			return torn
		}
		return nil
	}
	var pkcs8 struct {
		Version   int
		Algorithm struct {
			ID     asn1.ObjectIdentifier
			Params asn1.RawValue `asn1:"optional"`
		}
		Key []byte
	}
	if _, err := asn1.Unmarshal(der, &pkcs8); err != nil {
		return torn
	}
	switch id := pkcs8.Algorithm.ID; {
	case id.Equal(oidRSA):
		return checkDER("RSA PRIVATE KEY", pkcs8.Key)
	case id.Equal(oidDSA):
		return nil
	case id.Equal(oidEC):
		var curve asn1.ObjectIdentifier
		_, _ = asn1.Unmarshal(pkcs8.Algorithm.Params.FullBytes, &curve)
		return checkEC(pkcs8.Key, curve)
	case id.Equal(oidEd25519):
		return foreign("Ed25519 as PKCS#8, which ssh reads only since OpenSSH 9.6", "")
	}
	return foreign("PKCS#8 with a kind of key that OpenSSH does not have", "")
}
