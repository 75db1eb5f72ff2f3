package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// CertificateFile returns the path of the certificate of a key file, given the
// path of either half.
func CertificateFile(path string) string { return strings.TrimSuffix(path, ".pub") + "-cert.pub" }

// CertificatePath returns where ssh and ssh-add look for a pair's certificate.
func (p *Pair) CertificatePath() string { return CertificateFile(p.Path) }

// Certificate returns the certificate beside the pair. The error is
// fs.ErrNotExist if there is none, and says so if it is for another key.
func (p *Pair) Certificate() (*ssh.Certificate, error) {
	path := p.CertificatePath()
	cert, err := LoadCertificate(path)
	if err == nil && !PublicOf(cert.Key).Equal(p.Public) {
		return nil, fmt.Errorf("%s: it certifies %s, but the key beside it is %s", path, PublicOf(cert.Key).Fingerprint(), p.Public.Fingerprint())
	}
	return cert, err
}

// LoadCertificate reads a file that holds a certificate.
func LoadCertificate(path string) (*ssh.Certificate, error) {
	data, _, err := readKey(path)
	if err != nil {
		return nil, err
	}
	keys, err := sshkey.ReadPublic(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	public, err := ssh.ParsePublicKey(keys[0].Blob)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cert, ok := public.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%s: it holds a key, not a certificate", path)
	}
	return cert, nil
}

// WriteCertificate writes a certificate file, 0644, complete and on disk. It
// may replace an earlier certificate of the same key for the same use, which
// stays whole until then; nothing else is replaced.
func WriteCertificate(path string, cert sshkey.Public) error {
	return hostfs.Replace(path, 0o644, func(old []byte) ([]byte, error) {
		line := []byte(cert.Line() + "\n")
		if old == nil {
			return line, nil
		}
		return line, renews(path, old, cert.Plain())
	})
}

// Renews returns the error with which WriteCertificate would refuse to replace
// what is at path by a certificate of the key.
func Renews(path string, key sshkey.Public) error {
	old, _, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return renews(path, old, key)
}

func renews(path string, old []byte, key sshkey.Public) error {
	keys, err := sshkey.ReadPublic(old)
	switch {
	case err != nil || len(keys) != 1:
		return fmt.Errorf("%s exists, holds something other than one certificate, and is left alone", path)
	case !sshkey.IsCertificate(keys[0].Type) || !keys[0].Plain().Equal(key):
		return fmt.Errorf("%s exists, is not a certificate of this key, and is left alone", path)
	}
	if was, _, err := keys[0].Certificate(); err != nil || !was.User {
		return fmt.Errorf("%s exists, is a host certificate, and is left alone", path)
	}
	return nil
}

// Validity returns when a certificate is valid, as ssh-keygen -L prints it.
func Validity(c sshkey.Certificate, zone *time.Location) string {
	date := func(seconds uint64) string {
		return time.Unix(int64(min(seconds, math.MaxInt64)), 0).In(zone).Format("2006-01-02T15:04:05")
	}
	switch {
	case c.After == 0 && c.Before == sshkey.Forever:
		return "forever"
	case c.After == 0:
		return "before " + date(c.Before)
	case c.Before == sshkey.Forever:
		return "after " + date(c.After)
	}
	return "from " + date(c.After) + " to " + date(c.Before)
}

// CertificateDate formats one end of a certificate's validity, in UTC.
func CertificateDate(seconds uint64) string {
	return time.Unix(int64(min(seconds, math.MaxInt64)), 0).UTC().Format(time.DateTime) + " UTC"
}

// SignAnew is the hint for a certificate that is of no use.
const SignAnew = "sign it again: pikeygen -s CA -I ID -n USER -V +52w KEY"

// CertificateFault returns what is wrong with a certificate in itself, and at
// the time now (PROTOCOL.certkeys). A host certificate is accepted here.
func CertificateFault(key sshkey.Public, c sshkey.Certificate, name string, now time.Time) (record.Record, bool) {
	r := record.Record{Verdict: record.Fail, Subject: key.Fingerprint(), Hint: SignAnew}
	switch unix := uint64(max(now.Unix(), 0)); {
	case unix >= c.Before && c.Before != sshkey.Forever:
		r.Cause, r.Detail = "cert-expired", fmt.Sprintf("seen: the certificate %s expired on %s", name, CertificateDate(c.Before))
	case unix < c.After:
		r.Cause, r.Detail = "cert-not-yet", fmt.Sprintf("seen: by the clock of this machine the certificate %s is valid from %s", name, CertificateDate(c.After))
		r.Hint = "is the clock of this machine right? see date(1); or " + SignAnew
	default:
		return r, false
	}
	return r, true
}

// CertificateRecord returns the record of a usable certificate.
func CertificateRecord(key sshkey.Public, c sshkey.Certificate, name string) record.Record {
	whom := strings.Join(c.Principals, ", ")
	switch {
	case !c.User:
		whom += ", of a host"
	case whom == "":
		whom = "nobody, and before OpenSSH 10.3 anybody"
	}
	return record.Record{Verdict: record.OK, Cause: "cert", Subject: key.Fingerprint(), Detail: fmt.Sprintf("%s %s, id %s for %s, valid %s, signed by %s",
		key.Name(), name, c.ID, whom, Validity(c, time.Local), c.CA.Fingerprint())}
}
