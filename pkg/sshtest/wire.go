package sshtest

import (
	"bufio"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A wire is the server's side of the transport of RFC 4253, for what
// x/crypto's server would never send. It knows one algorithm of each kind and
// no second key exchange, and it believes what it reads.
type wire struct {
	g       *guest
	r       *bufio.Reader
	in, out *direction // nil until the key exchange is done
	sent    uint32     // packets: the sequence number of the next
}

// A direction is a key: aes128-ctr and hmac-sha2-256.
type direction struct {
	stream cipher.Stream
	mac    []byte
}

// macSize is that of hmac-sha2-256.
const macSize = sha256.Size

// The messages that a wire needs, RFC 4250 section 4.1.2.
const (
	msgDisconnect     = 1
	msgIgnore         = 2
	msgDebug          = 4
	msgServiceRequest = 5
	msgServiceAccept  = 6
	msgKexInit        = 20
	msgNewKeys        = 21
	msgECDHInit       = 30
	msgECDHReply      = 31
	msgAuthRequest    = 50
	msgAuthFailure    = 51
	msgAuthSuccess    = 52
	msgAuthBanner     = 53
	msgPasswordChange = 60
)

// knownAlgorithms are the ten name-lists of KEXINIT that a wire can keep.
var knownAlgorithms = []string{"curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr",
	"hmac-sha2-256", "hmac-sha2-256", "none", "none", "", ""}

// text is a string or a name-list of RFC 4251 section 5.
func text(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }

// message joins the fields of a message to its number.
func message(number byte, fields ...[]byte) []byte {
	m := []byte{number}
	for _, f := range fields {
		m = append(m, f...)
	}
	return m
}

// cut takes a string from the front of a message; ok is false if there is none.
func cut(m []byte) (s string, rest []byte, ok bool) {
	if len(m) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(m)
	if uint64(n) > uint64(len(m)-4) {
		return "", nil, false
	}
	return string(m[4 : 4+n]), m[4+n:], true
}

// offer exchanges the version lines and sends a KEXINIT with these algorithms.
// It returns what goes into the exchange hash.
func (g *guest) offer(algorithms []string) (w *wire, hashed [][]byte, err error) {
	w = &wire{g: g, r: bufio.NewReader(g)}
	io.WriteString(g, Bookworm+"\r\n")
	version, err := w.r.ReadString('\n')
	if err != nil {
		return nil, nil, err
	}
	cookie := make([]byte, 16)
	rand.Read(cookie)
	own := message(msgKexInit, cookie)
	for _, list := range algorithms {
		own = append(own, text(list)...)
	}
	own = append(own, 0, 0, 0, 0, 0)
	if err := w.write(own); err != nil {
		return nil, nil, err
	}
	theirs, err := w.read(msgKexInit)
	if err != nil {
		return nil, nil, err
	}
	return w, [][]byte{text(strings.TrimRight(version, "\r\n")), text(Bookworm), text(string(theirs)), text(string(own))}, nil
}

// authenticating goes on to where the client asks to be authenticated, and
// calls answer for each request: the method, and the fields that it has.
// RFC 4252 section 5.
func (g *guest) authenticating(answer func(w *wire, method string, fields []byte) error) error {
	w, err := g.keyExchange()
	if err != nil {
		return err
	}
	service, err := w.read(msgServiceRequest)
	if err != nil {
		return err
	}
	if err := w.write(message(msgServiceAccept, service[1:])); err != nil {
		return err
	}
	for {
		request, err := w.read(msgAuthRequest)
		if err != nil {
			return err
		}
		_, rest, _ := cut(request[1:]) // the user
		_, rest, _ = cut(rest)         // the service
		method, fields, ok := cut(rest)
		if !ok {
			return errors.New("a short authentication request")
		}
		switch method {
		case "publickey":
			g.count(func(c *Counts) { c.Keys++ })
		case "password":
			g.count(func(c *Counts) { c.Passwords++ })
		}
		if err := answer(w, method, fields); err != nil {
			return err
		}
	}
}

// keyExchange goes on to where all is encrypted. RFC 8731.
func (g *guest) keyExchange() (*wire, error) {
	w, hashed, err := g.offer(knownAlgorithms)
	if err != nil {
		return nil, err
	}
	init, err := w.read(msgECDHInit)
	if err != nil {
		return nil, err
	}
	point, _, ok := cut(init[1:])
	if !ok {
		return nil, errors.New("a short ECDH_INIT")
	}
	own, secret, err := agree(point)
	if err != nil {
		return nil, err
	}
	hostKey := text(string(g.key.PublicKey().Marshal()))
	exchange := digest(append(hashed, hostKey, text(point), own, secret)...)
	signature, err := g.key.Sign(rand.Reader, exchange)
	if err != nil {
		return nil, err
	}
	if err := w.write(message(msgECDHReply, hostKey, own, text(string(ssh.Marshal(signature))))); err != nil {
		return nil, err
	}
	if err := w.write(message(msgNewKeys)); err != nil {
		return nil, err
	}
	derive := func(letter byte) []byte { return digest(secret, exchange, []byte{letter}, exchange) } // RFC 4253 section 7.2
	w.out = newDirection(derive('B'), derive('D'), derive('F'))
	if _, err := w.read(msgNewKeys); err != nil {
		return nil, err
	}
	w.in = newDirection(derive('A'), derive('C'), derive('E'))
	return w, nil
}

// agree returns our point, and the secret shared with whoever has sent theirs, both
// as they are hashed.
func agree(theirs string) (own, secret []byte, err error) {
	public, err := ecdh.X25519().NewPublicKey([]byte(theirs))
	if err != nil {
		return nil, nil, err
	}
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, nil, err
	}
	secret = ssh.Marshal(struct{ K *big.Int }{new(big.Int).SetBytes(shared)})
	return text(string(private.PublicKey().Bytes())), secret, nil
}

func digest(parts ...[]byte) []byte {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write(part)
	}
	return hash.Sum(nil)
}

func newDirection(iv, key, mac []byte) *direction {
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		panic(err) // 16 bytes are a key
	}
	return &direction{cipher.NewCTR(block, iv[:aes.BlockSize]), mac}
}

// refuse says that keys and passwords are welcome, but not this one.
func (w *wire) refuse() error {
	return w.write(message(msgAuthFailure, text("publickey,password"), []byte{0}))
}

// blockSize is what a packet's length is a multiple of. RFC 4253 section 6
// wants 8 where there is no cipher; 16 is a multiple too.
const blockSize = aes.BlockSize

// write sends one packet.
func (w *wire) write(payload []byte) error {
	padding := blockSize - (5+len(payload))%blockSize
	if padding < 4 {
		padding += blockSize
	}
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(append(append(packet, byte(padding)), payload...), make([]byte, padding)...)
	return w.writeRaw(packet)
}

// writeRaw sends what has the form of a packet.
func (w *wire) writeRaw(packet []byte) error {
	if w.out != nil {
		mac := hmac.New(sha256.New, w.out.mac)
		mac.Write(binary.BigEndian.AppendUint32(nil, w.sent))
		mac.Write(packet)
		w.out.stream.XORKeyStream(packet, packet)
		packet = mac.Sum(packet)
	}
	w.sent++
	_, err := w.g.Write(packet)
	return err
}

// read returns the next message, which must be of this number.
func (w *wire) read(number byte) ([]byte, error) {
	packet := make([]byte, blockSize)
	if w.in == nil {
		packet = packet[:8]
	}
	take := func(b []byte) error {
		_, err := io.ReadFull(w.r, b)
		if err == nil && w.in != nil {
			w.in.stream.XORKeyStream(b, b)
		}
		return err
	}
	if err := take(packet); err != nil {
		return nil, err
	}
	first, length := len(packet), binary.BigEndian.Uint32(packet)
	if length < 12 || length > 256<<10 {
		return nil, fmt.Errorf("a packet of %d bytes", length)
	}
	packet = append(packet, make([]byte, 4+int(length)-first)...)
	if err := take(packet[first:]); err != nil {
		return nil, err
	}
	if w.in != nil {
		if _, err := w.r.Discard(macSize); err != nil {
			return nil, err
		}
	}
	end := len(packet) - int(packet[4])
	if end <= 5 || packet[5] != number {
		return nil, fmt.Errorf("a message other than %d: %d", number, packet[5])
	}
	return packet[5:end], nil
}
