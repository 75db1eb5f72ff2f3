// Package sshkey knows OpenSSH's keys as files and lines: public keys as
// opaque blobs with a type word and a comment, fingerprints, randomart, and
// the envelope of private key files without opening it. It does no
// cryptography, so that every well-formed key passes, also one of a type that
// nobody has invented yet.
package sshkey

// A Public is a public key line, "type base64 comment", taken apart.
type Public struct {
	Type    string // the type word inside the blob, which is the truth
	Blob    []byte // RFC 4253 section 6.6, starts with Type
	Comment string // what follows the blob, without blanks at the ends
}

// ParsePublic reads one "type base64 [comment]" line: no options, no control
// bytes but the line's end. The type word must be the one inside the blob.
func ParsePublic(line string) (Public, error) { panic("unwritten") }

// ReadPublic reads the public keys of a file or of a stream, as ssh-copy-id
// takes them: lines of "type base64 [comment]"; blank lines and '#' comments
// are skipped. BOM, CRLF, UTF-16 and RFC 4716 are converted. An error names
// the line and says what it holds instead: a private key, several keys glued,
// options before the key, a control byte, a torn line. No keys at all is an
// error too.
func ReadPublic(data []byte) ([]Public, error) { panic("unwritten") }

// Line returns "type base64 comment" without a newline.
func (p Public) Line() string { panic("unwritten") }

// Fingerprint returns "SHA256:…", as ssh-keygen -l prints it.
func (p Public) Fingerprint() string { panic("unwritten") }

// Name returns the type as ssh-keygen -l shows it, such as "ED25519",
// "ED25519-SK", "RSA-CERT"; the type word for types it does not know.
func (p Public) Name() string { panic("unwritten") }

// Bits returns the key's length as ssh-keygen -l shows it; 0 if unknown.
func (p Public) Bits() int { panic("unwritten") }

// Randomart returns the picture that ssh-keygen -lv draws, lines ended by
// newlines.
func (p Public) Randomart() string { panic("unwritten") }

// Equal reports whether both are the same key; comments do not matter.
func (p Public) Equal(q Public) bool { panic("unwritten") }

// An Envelope is what a private key file tells without its passphrase.
type Envelope struct {
	Format    string // "openssh", "pkcs1", "pkcs8", "sec1", "dsa"
	Public    Public // OpenSSH's format holds it in clear; else zero
	Encrypted bool
	Cipher    string // "none", "aes256-ctr", …
	KDF       string // "none", "bcrypt"
	Rounds    int    // of bcrypt; 0 for none
}

// A FileError is why ssh(1) would not read a private key file, by ssh's rules
// and not x/crypto's, which is more lenient.
type FileError struct {
	Cause  string // "key-damaged" or "key-format" of pi-key-causes(7)
	Reason string // "lines end in CR LF", "PuTTY .ppk", …
}

func (e *FileError) Error() string { panic("unwritten") }

// OpenEnvelope looks at the raw bytes of a private key file. Its error is a
// *FileError.
func OpenEnvelope(data []byte) (Envelope, error) { panic("unwritten") }
