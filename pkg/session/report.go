package session

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshkey"
)

// A Stage tells how far a connection got.
type Stage string

// The stages, in order. The words go into messages: "the server closed the
// connection during STAGE".
const (
	Dialling    Stage = "connect"
	Versions    Stage = "version exchange"
	KeyExchange Stage = "key exchange"
	HostKey     Stage = "host key check"
	Auth        Stage = "authentication"
	LoggedIn    Stage = "session"
)

// An Answer is the server's answer to a key, or the outcome of signing.
type Answer string

// The answers to an offered key, or to a password, for which there is neither a
// question first nor a signature.
const (
	Refused          Answer = "refused"
	Accepted         Answer = "accepted"          // to the question; nothing was signed
	SignFailed       Answer = "sign-failed"       // accepted, and then our side could not sign, or signed wrongly
	SignatureRefused Answer = "signature-refused" // accepted, and then the server refused the signature, which is right
	Partial          Answer = "partial"           // it counted, but the server wants more
	LogsIn           Answer = "logs-in"
	HungUp           Answer = "hung-up"    // accepted, and then the server hung up in place of an answer to the signature
	Unanswered       Answer = "unanswered" // the connection ended first
	Unasked          Answer = "unasked"    // the server takes no signature algorithm that the key has
)

// An Offer is a key that was offered and what became of it.
type Offer struct {
	Key    Key
	Answer Answer
	Err    error // of SignFailed
	Late   bool  // the password came before it
}

// A Report is what was seen of a connection, even of one that failed.
//
// It lacks two things that a server tells. Its server-sig-algs (RFC 8308) come
// encrypted, and x/crypto keeps them in a local variable (client_auth.go
// clientAuthenticate()): if none of them fits a key, that shows as Unasked.
// What sshd sends in SSH_MSG_DEBUG after a login, such as "Ignored authorized
// keys: bad ownership or modes", x/crypto reads and drops (handshake.go
// readLoop()); the log there has the same words.
type Report struct {
	Stage         Stage
	Began         time.Time // when the connection was begun
	Remote        net.Addr  // nil before it was connected
	Start         []byte    // the first bytes that the server sent, at most 4 KiB
	ServerVersion string    // "SSH-2.0-…"; "" before it came
	HostKey       ssh.PublicKey
	Banner        string   // and what else it tells the user; at most 4 KiB
	Methods       []string // that the server last said can continue
	Offers        []Offer  // in order
	PasswordSent  bool
	Passwords     int    // how many were sent
	Password      Answer // to the password; "" if none was sent
	PasswordErr   error  // why there was no password; a *PromptError for a question that was not answered
	By            string // the method that let us in: "publickey", "password", …
	Disconnect    string // the server's own words at the end of authentication
	Overdue       bool   // it had hung up by the time there was a signature or a password to send

	// The time to connect, from then until the host key was accepted, and from
	// then to the end of authentication; 0 for what was not reached.
	Connect, Handshake, Auth time.Duration
}

// What sshd sends in place of its version before it hangs up (sshd.c), in
// Report.Start.
const (
	Penalised   = "Not allowed at this time"
	MaxStartups = "Exceeded MaxStartups"
)

// Booting reports whether the server lets nobody in because the machine is
// still booting: pam_nologin(8) shows what systemd-user-sessions(8) writes
// meanwhile. Even a right password is refused then.
func (r *Report) Booting() bool { return strings.Contains(r.Banner, "System is booting up") }

// OpenSSH returns the version of the server, such as 9 and 2, if it is OpenSSH's
// for Unix.
func (r *Report) OpenSSH() (version [2]int, ok bool) {
	_, v, _ := strings.Cut(r.ServerVersion, "OpenSSH_")
	n, _ := fmt.Sscanf(v, "%d.%d", &version[0], &version[1])
	return version, n == len(version)
}

// Punishes reports whether the server may shut out addresses whose logins fail:
// OpenSSH's does since 9.8 (sshd_config(5) PerSourcePenalties), dropbear does not,
// and of others it is not known.
func (r *Report) Punishes() bool {
	version, ok := r.OpenSSH()
	return ok && slices.Compare(version[:], []int{9, 8}) >= 0 || !ok && !strings.Contains(r.ServerVersion, "dropbear")
}

// TooManyTries reports whether the server has hung up in place of refusing one more
// (sshd_config(5) MaxAuthTries).
func (r *Report) TooManyTries() bool {
	return strings.Contains(strings.ToLower(r.Disconnect), "too many authentication failures")
}

// LoginKey returns the key that let us in.
func (r *Report) LoginKey() (Key, bool) {
	o, ok := r.OfferWith(LogsIn)
	return o.Key, ok
}

// OfferWith returns the first offer with that answer.
func (r *Report) OfferWith(answer Answer) (Offer, bool) {
	i := slices.IndexFunc(r.Offers, func(o Offer) bool { return o.Answer == answer })
	if i < 0 {
		return Offer{}, false
	}
	return r.Offers[i], true
}

// TakesPassword reports whether the server last said that it takes a password, in
// either form.
func (r *Report) TakesPassword() bool {
	return slices.Contains(r.Methods, "password") || slices.Contains(r.Methods, "keyboard-interactive")
}

// Answer returns the outcome of offering a key; "" if it was not offered.
func (r *Report) Answer(key sshkey.Public) Answer {
	for _, o := range r.Offers {
		if o.Key.Public.Equal(key) {
			return o.Answer
		}
	}
	return ""
}
