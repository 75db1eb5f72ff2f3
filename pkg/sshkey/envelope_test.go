package sshkey

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const passphrase = "secret"

// A privateKey is a file that ssh-keygen made.
type privateKey struct {
	args      string // what it was made with
	text      string
	encrypted bool
	want      Envelope // without Public
}

func privateKeys(t *testing.T) []privateKey {
	t.Helper()
	need(t, "ssh-keygen")
	dir := t.TempDir()
	plain := func(format string) Envelope { return Envelope{Format: format, Cipher: "none", KDF: "none"} }
	locked := func(cipher string) Envelope {
		return Envelope{Format: "openssh", Encrypted: true, Cipher: cipher, KDF: "bcrypt", Rounds: 1}
	}
	keys := []privateKey{
		{args: "-t ed25519", want: plain("openssh")},
		{args: "-t rsa -b 1024", want: plain("openssh")},
		{args: "-t ecdsa -b 521", want: plain("openssh")},
		{args: "-t dsa", want: plain("openssh")},
		{args: "-t rsa -b 1024 -m PEM", want: plain("pkcs1")},
		{args: "-t rsa -b 1024 -m PKCS8", want: plain("pkcs8")},
		{args: "-t ecdsa -b 256 -m PEM", want: plain("sec1")},
		{args: "-t ecdsa -b 384 -m PKCS8", want: plain("pkcs8")},
		{args: "-t dsa -m PEM", want: plain("dsa")},
		{args: "-t ed25519 -a 1 -Z aes256-ctr", want: locked("aes256-ctr")},
		{args: "-t ed25519 -a 1 -Z 3des-cbc", want: locked("3des-cbc")},
		{args: "-t ed25519 -a 1 -Z aes128-gcm@openssh.com", want: locked("aes128-gcm@openssh.com")},
		{args: "-t ed25519 -a 1 -Z chacha20-poly1305@openssh.com", want: locked("chacha20-poly1305@openssh.com")},
		{args: "-t rsa -b 1024 -m PEM -C locked", want: Envelope{Format: "pkcs1", Encrypted: true, Cipher: "aes-128-cbc"}},
		{args: "-t rsa -b 1024 -m PKCS8 -C locked", want: Envelope{Format: "pkcs8", Encrypted: true}},
	}
	for i := range keys {
		k := &keys[i]
		k.encrypted = k.want.Encrypted
		pass := ""
		if k.encrypted {
			pass = passphrase
		}
		name := fmt.Sprint("key", i)
		out, err := keygen(t, dir, append(strings.Fields(k.args), "-q", "-N", pass, "-f", name)...)
		if err != nil && strings.HasPrefix(k.args, "-t dsa") { // gone since OpenSSH 10
			t.Logf("without DSA: %s", out)
			continue
		}
		if err != nil {
			t.Fatalf("%s: %s", k.args, out)
		}
		k.text = read(t, filepath.Join(dir, name))

		e, err := OpenEnvelope([]byte(k.text))
		if err != nil {
			t.Errorf("%s: %v", k.args, err)
			continue
		}
		if k.want.Format == "openssh" {
			want, err := ParsePublic(read(t, filepath.Join(dir, name+".pub")))
			if k.encrypted {
				want.Comment = ""
			}
			if err != nil || e.Public.Line() != want.Line() {
				t.Errorf("%s: the public half is %q, want %q", k.args, e.Public.Line(), want.Line())
			}
		}
		e.Public = Public{}
		if fmt.Sprint(e) != fmt.Sprint(k.want) {
			t.Errorf("%s: %+v, want %+v", k.args, e, k.want)
		}
	}
	return keys
}

// damages are what befalls a key file on its way through mails, editors,
// terminals and power cuts.
func damages(key string) map[string]string {
	lines := strings.SplitAfter(strings.TrimSuffix(key, "\n"), "\n")
	begin, end := lines[0], lines[len(lines)-1]+"\n"
	first, body := lines[1], strings.Join(lines[1:len(lines)-1], "")
	half := len(key) / 2
	d := map[string]string{
		"as it is":                   key,
		"CR LF":                      strings.ReplaceAll(key, "\n", "\r\n"),
		"CR LF inside":               begin + strings.ReplaceAll(body, "\n", "\r\n") + end,
		"CR LF last":                 strings.TrimSuffix(key, "\n") + "\r\n",
		"CR":                         strings.ReplaceAll(key, "\n", "\r"),
		"no last newline":            strings.TrimSuffix(key, "\n"),
		"byte order mark":            "\xef\xbb\xbf" + key,
		"text before":                "hello\n" + key,
		"newline before":             "\n" + key,
		"blank before":               " " + key,
		"text after":                 key + "hello\n",
		"text after without newline": key + "hello",
		"NULs after":                 key + "\x00\x00\x00",
		"blank after BEGIN":          strings.Replace(key, "-----\n", "----- \n", 1),
		"blank after END":            strings.TrimSuffix(key, "\n") + " \n",
		"blank lines":                strings.ReplaceAll(key, "\n", "\n\n"),
		"blank line after BEGIN":     begin + "\n" + body + end,
		"blank line inside":          begin + first + "\n" + body[len(first):] + end,
		"blanks inside":              begin + "  " + strings.ReplaceAll(body, "\n", " \n \t") + end,
		"indented":                   " " + strings.ReplaceAll(key, "\n", "\n "),
		"one line":                   begin + strings.ReplaceAll(body, "\n", "") + "\n" + end,
		"no BEGIN":                   body + end,
		"no END":                     begin + body,
		"no body":                    begin + end,
		"empty":                      "",
		"nothing but NULs":           strings.Repeat("\x00", len(key)),
		"second half NULs":           key[:half] + strings.Repeat("\x00", len(key)-half),
		"NUL inside":                 key[:half] + "\x00" + key[half:],
		"twice":                      key + key,
		"letter missing":             key[:half] + key[half+1:],
		"four letters missing":       key[:half] + key[half+4:],
		"star":                       key[:half] + "*" + key[half+1:],
		"dash":                       key[:half] + "-" + key[half+1:],
		"equals sign":                key[:half] + "=" + key[half+1:],
		"lower case BEGIN":           strings.ToLower(begin) + body + end,
		"another END":                strings.ReplaceAll(key, "-----END ", "-----END X"),
	}
	for i := 1; i < 4; i++ {
		cut := len(key) * i / 4
		d[fmt.Sprintf("cut off at %d/4", i)] = key[:cut]
		d[fmt.Sprintf("cut at %d/4 before END", i)] = key[:cut&^3] + "\n" + end
	}
	return d
}

// What ssh-keygen -y reads, which is what ssh reads, OpenEnvelope takes, and
// the other way round.
//
// It differs on purpose where it would need the passphrase, or arithmetic: a
// changed letter in a ciphertext, in a secret number of RSA or DSA, or a
// ciphertext cut between two blocks, is no concern of an envelope. So letters are
// changed only where that plays no part, but even then nothing may be refused
// that ssh reads, unless the signatures that it makes with it are worth nothing.
func TestOpenEnvelopeAgreesWithSSHKeygen(t *testing.T) {
	for _, k := range privateKeys(t) {
		t.Run(k.args, func(t *testing.T) {
			t.Parallel()
			if k.text == "" {
				t.Skip("this ssh-keygen does not make it")
			}
			file := filepath.Join(t.TempDir(), "key")
			pass := ""
			if k.encrypted {
				pass = passphrase
			}
			mutants := damages(k.text)
			worthless := 0
			if !k.encrypted {
				for i := 0; i < len(k.text); i += 61 {
					letter := "A"
					if k.text[i] == 'A' {
						letter = "B"
					}
					mutants[fmt.Sprint("letter ", i)] = k.text[:i] + letter + k.text[i+1:]
				}
			}
			for name, text := range mutants {
				write(t, file, text)
				out, oracle := keygen(t, filepath.Dir(file), "-y", "-P", pass, "-f", file)
				_, err := OpenEnvelope([]byte(text))
				var ferr *FileError
				if err != nil && (!errors.As(err, &ferr) || ferr.Cause != "key-damaged" && ferr.Cause != "key-format" || ferr.Reason == "") {
					t.Errorf("%s: error %#v", name, err)
				}
				arithmetic := strings.Contains(k.args, "-m ") &&
					(strings.HasPrefix(name, "letter ") || strings.HasPrefix(name, "cut at ") && k.encrypted)
				if oracle == nil && err != nil && !signs(t, file) {
					worthless++
					continue
				}
				if oracle == nil && err != nil || oracle != nil && err == nil && !arithmetic {
					t.Errorf("%s: ssh-keygen: %v %s; OpenEnvelope: %v", name, oracle, out, err)
				}
			}
			if k.args != "-t ed25519" && k.args != "-t ecdsa -b 521" {
				return
			}
			if write(t, file, k.text); !signs(t, file) || worthless == 0 {
				t.Error("no letter of the secret was changed, or nothing signs: this showed too little")
			}
		})
	}
}

// A point is taken for the one of a seed where crypto/ed25519 makes it of it, and
// no other.
func TestOfSeed(t *testing.T) {
	for i := range 100 {
		seed := make([]byte, ed25519.SeedSize)
		seed[i%len(seed)] = byte(i + 1)
		point := ed25519.NewKeyFromSeed(seed)[ed25519.SeedSize:]
		if !ofSeed(seed, point) {
			t.Fatalf("%x is not of %x", point, seed)
		}
		point[i%len(point)] ^= 1 << (i % 7)
		if ofSeed(seed, point) {
			t.Errorf("%x is of %x", point, seed)
		}
	}
	one := append([]byte{1}, make([]byte, 31)...) // which X25519's curve has no place for
	if ofSeed(make([]byte, ed25519.SeedSize), one) {
		t.Error("the neutral point is of a seed")
	}
}

// signs reports whether signatures of a key can be verified.
func signs(t *testing.T, file string) bool {
	t.Helper()
	dir := filepath.Dir(file)
	write(t, filepath.Join(dir, "message"), "hello\n")
	os.Remove(filepath.Join(dir, "message.sig"))
	if _, err := keygen(t, dir, "-Y", "sign", "-f", file, "-n", "test", "message"); err != nil {
		return false
	}
	cmd := exec.Command("ssh-keygen", "-Y", "check-novalidate", "-n", "test", "-s", "message.sig")
	cmd.Dir = dir
	cmd.Stdin = strings.NewReader("hello\n")
	return cmd.Run() == nil
}

func TestOpenEnvelopeSaysWhatIsWrong(t *testing.T) {
	need(t, "ssh-keygen")
	dir := t.TempDir()
	mustKeygen(t, dir, "-q", "-t", "ed25519", "-N", "", "-f", "key")
	key := read(t, filepath.Join(dir, "key"))
	d := damages(key)
	for _, tt := range []struct{ text, cause, reason string }{
		{d["CR LF"], "key-damaged", "CR LF"},
		{d["CR LF last"], "key-damaged", "CR LF"},
		{d["no last newline"], "key-damaged", "no newline"},
		{d["byte order mark"], "key-damaged", "byte order mark"},
		{string(utf16Text(binary.LittleEndian, key)), "key-damaged", "UTF-16"},
		{d["text before"], "key-damaged", "text before"},
		{d["cut off at 2/4"], "key-damaged", "cut off"},
		{d["no END"], "key-damaged", "cut off"},
		{d["no BEGIN"], "key-damaged", "BEGIN line is missing"},
		{d["empty"], "key-damaged", "empty"},
		{d["nothing but NULs"], "key-damaged", "NUL bytes"},
		{d["second half NULs"], "key-damaged", "NUL bytes"},
		{d["NUL inside"], "key-damaged", ""},
		{d["star"], "key-damaged", "base64"},
		{d["letter missing"], "key-damaged", "base64"},
		{d["four letters missing"], "key-damaged", "damaged"},
		{d["indented"], "key-damaged", "text before"},
		{"PuTTY-User-Key-File-3: ssh-ed25519\r\n", "key-format", "PuTTY"},
		{"SSH PRIVATE KEY FILE FORMAT 1.1\n\x00", "key-format", "SSH 1"},
		{begin4716 + "\n" + ed25519Blob + "\n" + end4716 + "\n", "key-format", "RFC 4716"},
		{"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\n", "key-format", "ssh.com"},
		{ed25519Line + "\n", "key-format", "a public key"},
		{"hello\n", "key-format", "not a private key"},
		// openssl genpkey -algorithm ed25519, of a key made for this test
		{"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n", "key-format", "9.6"},
	} {
		_, err := OpenEnvelope([]byte(tt.text))
		var ferr *FileError
		if !errors.As(err, &ferr) || ferr.Cause != tt.cause || !strings.Contains(ferr.Reason, tt.reason) {
			t.Errorf("%.50q: %v, want %s with %q", tt.text, err, tt.cause, tt.reason)
		}
	}
}

func FuzzOpenEnvelope(f *testing.F) {
	f.Add([]byte(beginOpenSSH + "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMw" + endOpenSSH))
	f.Add([]byte("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte("\xff\xfea\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := OpenEnvelope(data)
		var ferr *FileError
		if err != nil && !errors.As(err, &ferr) {
			t.Fatalf("%T", err)
		}
		if err == nil && e.Format == "" {
			t.Fatal("neither an envelope nor an error")
		}
	})
}
