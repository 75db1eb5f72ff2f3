// Package identity finds and makes the user's key pairs, on disk and in
// ssh-agent.
package identity

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// A Pair is a key pair on disk, or half of one, as far as it is known without a
// passphrase.
type Pair struct {
	Path      string          // of the private half; the public one has ".pub" after it
	Public    sshkey.Public   // from the private half where it tells, else from .pub; zero if neither does
	Offered   sshkey.Public   // what ssh offers for it; zero if it finds nothing to offer
	Private   sshkey.Envelope // zero if there is none, or none that ssh would read
	NoPrivate bool            // that half is not there
	NoPublic  bool            // that one is not
	Faults    []Fault         // why ssh would not use it, or pikeygen would not take it
	contents  []byte          // of the private half, if Private is set
	names     int             // of it: hard links
}

// A Fault is one thing wrong with a pair.
type Fault struct {
	Cause  string // key-mode, key-damaged, key-format, key-pair-mismatch, key-weak, key-unreadable, key-encrypted
	Path   string // the half that it is about
	Detail string // words for a person
	Hint   string // what to do, preferably a command
}

// Error makes an error of the fault, for where the pair is of no use.
func (f Fault) Error() string { return f.Path + ": " + f.Cause + ": " + f.Detail }

// Record returns the record of the fault.
func (f Fault) Record() record.Record {
	return record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.Path, Detail: f.Detail, Hint: f.Hint}
}

// minRSABits is the least length that pikeygen takes or makes. ssh itself
// still uses 1024 (ssh_config(5) RequiredRSASize); many servers do not.
const minRSABits = 2048

// Load examines the pair at path (of the private half, or of the .pub). An
// error means that neither half exists (fs.ErrNotExist), or that the directory
// cannot be read; faults are in the Pair.
//
// A missing .pub is not a fault, since ssh does without it. A .pub that is not
// a readable public key is one: ssh-copy-id and people would use it.
func Load(path string) (*Pair, error) {
	p := &Pair{Path: strings.TrimSuffix(path, ".pub")}
	private, err := p.loadPrivate()
	if err != nil {
		return nil, err
	}
	public := p.loadPublic()
	if p.NoPrivate && p.NoPublic {
		return nil, fmt.Errorf("no key pair at %s: %w", p.Path, fs.ErrNotExist)
	}
	known := func(k sshkey.Public) bool { return len(k.Blob) > 0 }
	if !known(p.Offered) {
		p.Offered = private
	}
	switch {
	case known(private) && known(public) && !private.Equal(public):
		p.Public = private
		p.fault("key-pair-mismatch", p.Path+".pub", p.anewHint(), "it holds %s, but the private half is %s",
			public.Fingerprint(), private.Fingerprint())
	case known(private):
		p.Public = private
		if public.Comment != "" { // the newer one: people edit it there
			p.Public.Comment = public.Comment
		}
	case known(public):
		p.Public = public
	case p.Private.Encrypted:
		p.fault("key-encrypted", p.Path, "pikeygen -y --passphrase-file FILE -f "+sh.QuoteLine(p.Path),
			"the public half is inside the encrypted part (%s), and there is no .pub", p.Private.Format)
	}
	why := Weak(p.Public)
	if p.Private.Format == "dsa" {
		why = weakDSA
	}
	if why != "" {
		p.fault("key-weak", p.Path, "pikeygen -t ed25519", "%s", why)
	}
	return p, nil
}

// Stdin stands for the path of a pair that was not in a file.
const Stdin = "-"

// Read returns the pair of a private key that does not come from a file: nothing
// is beside it, and it has no mode. The error is a *sshkey.FileError, or x/crypto's.
func Read(data []byte) (*Pair, error) {
	p := &Pair{Path: Stdin, NoPublic: true}
	public, err := p.take(data)
	if public.Comment == "" {
		public.Comment = "(stdin)" // as ssh-add has it
	}
	p.Public = public
	return p, err
}

func (p *Pair) fault(cause, path, hint, format string, args ...any) {
	p.Faults = append(p.Faults, Fault{cause, path, fmt.Sprintf(format, args...), hint})
}

// IgnoredBySSH reports whether a fault is in a .pub that ssh does without: it
// skips one that it cannot read, and gets the key from the private half.
func (p *Pair) IgnoredBySSH(f Fault) bool {
	return f.Path != p.Path && len(p.Public.Blob) > 0 && p.Offered.Equal(p.Public)
}

// anewHint is the way on from a .pub that is of no use.
func (p *Pair) anewHint() string {
	path := sh.QuoteLine(p.Path)
	return fmt.Sprintf("mv %[1]s.pub %[1]s.pub.old; pikeygen -y -f %[1]s", path)
}

// Usable reports whether the pair logs in as it is: it has no faults, and
// either both halves or a private one that gives its public half. It may still
// need a passphrase or an agent.
func (p *Pair) Usable() bool {
	return len(p.Faults) == 0 && !p.NoPrivate && len(p.Public.Blob) > 0
}

// loadPrivate fills in the private half, and returns its public one if it can
// be told. An error is of the directory.
func (p *Pair) loadPrivate() (sshkey.Public, error) {
	var none sshkey.Public
	data, st, err := readKey(p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		p.NoPrivate = true
		return none, nil
	}
	if err != nil {
		if _, lerr := os.Lstat(p.Path); lerr != nil {
			return none, fmt.Errorf("looking for a key pair: %w", lerr)
		}
		p.unread(p.Path, err)
		return none, nil
	}
	// What was never a key is not to be closed to others: it may be /etc/passwd.
	if f, refused := strictmodes.JudgePrivateKey(p.Path, st, os.Getuid()); refused &&
		(bytes.Contains(data, []byte("-----BEGIN")) || bytes.HasPrefix(data, []byte("PuTTY"))) {
		p.fault(f.Cause, p.Path, "chmod go= "+sh.QuoteLine(p.Path), "%s", f.Detail) // pikeyfix knows those in ~/.ssh alone
	}
	public, err := p.take(data)
	if err != nil {
		if p.contents == nil {
			p.Offered, _ = offered(data)
		}
		p.unread(p.Path, err)
		return none, nil
	}
	p.names = st.Nlink
	return public, nil
}

// take fills in what a private key file tells, and returns its public half, if it
// does.
func (p *Pair) take(data []byte) (public sshkey.Public, err error) {
	envelope, err := sshkey.OpenEnvelope(data)
	if err != nil {
		return public, err
	}
	p.Private, p.contents = envelope, data
	switch {
	case len(envelope.Public.Blob) > 0:
		return printable(envelope.Public), nil
	case envelope.Encrypted, envelope.Format == "dsa": // judged as weak, whatever is in it
		return public, nil
	}
	_, signer, err := parse(data, nil)
	if err != nil {
		return public, err
	}
	return PublicOf(signer.PublicKey()), nil
}

// loadPublic returns what .pub holds.
func (p *Pair) loadPublic() sshkey.Public {
	path := p.Path + ".pub"
	data, _, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		p.NoPublic = true
		return sshkey.Public{}
	}
	if key, ok := offered(data); ok && len(p.Offered.Blob) == 0 {
		p.Offered = key
	}
	var keys []sshkey.Public
	if err == nil {
		keys, err = sshkey.ReadPublic(data)
	}
	if err != nil {
		p.unread(path, err)
		return sshkey.Public{}
	}
	return keys[0]
}

// offered is the key that ssh takes from a file in place of the one that the
// private half tells, be it .pub or what has the private half's own name: that
// of the first line which is one (authfile.c sshkey_try_load_public()).
func offered(data []byte) (sshkey.Public, bool) {
	for line := range strings.Lines(string(data)) {
		line = strings.Trim(line, " \t\r\n")
		if strings.HasPrefix(line, "-----BEGIN") {
			break
		}
		if key, err := sshkey.ParseLenient(line); err == nil {
			return printable(key), true
		}
	}
	return sshkey.Public{}, false
}

// unread notes why a half that is there could not be read.
func (p *Pair) unread(path string, err error) {
	f := Fault{Cause: "key-damaged", Path: path, Detail: err.Error()}
	if e, ok := errors.AsType[*sshkey.FileError](err); ok {
		f.Cause, f.Detail = e.Cause, e.Reason
		f.Hint = strings.NewReplacer(" FILE", " "+sh.QuoteLine(path), " NEW", " "+sh.QuoteLine(path+".new")).Replace(e.Hint())
	} else if e, ok := errors.AsType[*fs.PathError](err); ok {
		f.Cause, f.Detail = "key-unreadable", e.Err.Error()
		f.Hint = ToRead(path)
	}
	switch {
	case path != p.Path:
		f.Hint = p.anewHint()
	case f.Hint == "":
		f.Hint = "give a private key file of ssh-keygen or pikeygen"
	}
	p.Faults = append(p.Faults, f)
}

// ToRead is how a person gets to read a file of this side that is closed to
// them.
func ToRead(path string) string {
	quoted := sh.QuoteLine(path)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "see what is in the way: namei -l " + quoted
	case hostfs.StatOf(info).UID == os.Getuid():
		return "chmod u+r " + quoted
	case info.Mode()&0o400 == 0:
		return fmt.Sprintf("sudo chown %d %s && chmod u+r %[2]s", os.Getuid(), quoted)
	}
	return fmt.Sprintf("sudo chown %d %s", os.Getuid(), quoted)
}

const weakDSA = "DSA, which OpenSSH 10 no longer supports"

// Weak returns why a key is too weak for pikeygen, or "".
func Weak(key sshkey.Public) string {
	switch {
	case key.Type == "ssh-dss":
		return weakDSA
	case key.Type == ssh.KeyAlgoRSA && key.Bits() < minRSABits:
		return fmt.Sprintf("RSA with %d bits, fewer than %d", key.Bits(), minRSABits)
	}
	return ""
}

// readKey reads a file that may hold half a key pair. It follows links, as ssh
// does, but never waits for a fifo and never reads without end.
func readKey(path string) ([]byte, strictmodes.Stat, error) {
	var st strictmodes.Stat
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, st, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, st, err
	}
	if !info.Mode().IsRegular() {
		reason := "it is not a regular file"
		if info.IsDir() {
			reason = "it is a directory"
		}
		return nil, st, &sshkey.FileError{Cause: "key-damaged", Reason: reason}
	}
	data, err := bounded.ReadAll(f, 1<<20) // OpenSSH's own limit for key files (sshbuf-io.c)
	if errors.Is(err, bounded.ErrTooLarge) {
		err = &sshkey.FileError{Cause: "key-damaged", Reason: "it is larger than 1 MiB, which no key is"}
	}
	if err != nil {
		return nil, st, err
	}
	return data, hostfs.StatOf(info), nil
}

// PublicOf converts a key or certificate of x/crypto to ours, without a
// comment.
func PublicOf(k ssh.PublicKey) sshkey.Public {
	return sshkey.Public{Type: k.Type(), Blob: k.Marshal()}
}

// printable drops a comment that does not fit on a public key line.
func printable(k sshkey.Public) sshkey.Public {
	if _, err := sshkey.ParsePublic(k.Line()); err != nil {
		k.Comment = ""
	}
	return k
}
