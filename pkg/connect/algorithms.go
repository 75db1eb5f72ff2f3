package connect

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
)

// An AlgorithmsError means that a list of ssh_config leaves no algorithm that is
// had here.
type AlgorithmsError struct {
	Keyword string // of ssh_config
	List    []string
}

func (e *AlgorithmsError) Error() string {
	if len(e.List) == 0 {
		return e.Keyword + " leaves none"
	}
	return fmt.Sprintf("none of %s is known here: %s", e.Keyword, strings.Join(e.List, ","))
}

// everyAlgorithm is what x/crypto has, for whoever asks for it: ssh too has what
// it does not offer by itself.
var everyAlgorithm = sync.OnceValue(func() ssh.Algorithms {
	safe, weak := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	return ssh.Algorithms{
		// By its older name, which is not listed, curve25519-sha256 is known too.
		KeyExchanges: slices.Concat(safe.KeyExchanges, weak.KeyExchanges, []string{"curve25519-sha256@libssh.org"}),
		Ciphers:      slices.Concat(safe.Ciphers, weak.Ciphers),
		MACs:         slices.Concat(safe.MACs, weak.MACs),
		HostKeys:     slices.Concat(safe.HostKeys, weak.HostKeys),
	}
})

// possible returns what of a list of ssh_config is had here; nil for no list.
func possible(keyword string, list, have []string) ([]string, error) {
	if list == nil {
		return nil, nil
	}
	left := slices.DeleteFunc(slices.Clone(list), func(a string) bool { return !slices.Contains(have, a) })
	if len(left) == 0 {
		return nil, &AlgorithmsError{keyword, list}
	}
	return left, nil
}

// protect has the connection protected by what ssh_config lets be, and by nothing
// else.
func (h *Host) protect(cfg *session.Config) (err error) {
	c := h.Config
	if cfg.KeyExchanges, err = possible("KexAlgorithms", c.KexAlgorithms, everyAlgorithm().KeyExchanges); err != nil {
		return err
	}
	if cfg.Ciphers, err = possible("Ciphers", c.Ciphers, everyAlgorithm().Ciphers); err != nil {
		return err
	}
	if cfg.MACs, err = possible("MACs", c.MACs, everyAlgorithm().MACs); err == nil {
		return nil
	}
	// There are ciphers that need none. The list stays, since x/crypto has its own
	// in place of an empty one.
	cfg.MACs = c.MACs
	whole := []string{ssh.CipherChaCha20Poly1305, ssh.CipherAES128GCM, ssh.CipherAES256GCM}
	if cfg.Ciphers == nil {
		cfg.Ciphers = whole
		return nil
	}
	cfg.Ciphers = slices.DeleteFunc(cfg.Ciphers, func(a string) bool { return !slices.Contains(whole, a) })
	if len(cfg.Ciphers) > 0 {
		return nil
	}
	return err
}
