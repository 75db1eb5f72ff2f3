package session

import (
	"bytes"
	"encoding/binary"
)

// An Exchange is the result of a connection's first key exchange: the server's
// own proof that this connection ends at it. An agent demands it before it
// signs with a key that is restricted to some destinations (PROTOCOL.agent,
// "session-bind@openssh.com").
type Exchange struct {
	HostKey   []byte // as on the wire; CheckHostKey has trusted it
	SessionID []byte // the exchange hash, RFC 4253 section 7.2
	Signature []byte // of HostKey over SessionID, as on the wire; nil if it was not seen
}

// Messages of RFC 4250 section 4.1.2 and RFC 4419 section 5. Number 31 is the
// reply of every method but the group exchange, where it carries a group and
// the reply is number 33.
const (
	msgNewKeys       = 21
	msgKexReply      = 31
	msgGroupKexReply = 33
)

// hostSignature finds, in what a server sent from the start of the connection
// on, its signature of the first key exchange, which is still in clear: a
// message of three strings of which the first is the host key, whatever the
// method puts into the second. x/crypto verifies the signature and keeps it to
// itself.
func hostSignature(sent, hostKey []byte) []byte {
	for _, payload := range inClear(sent) {
		if payload[0] != msgKexReply && payload[0] != msgGroupKexReply {
			continue
		}
		key, rest, _ := nextString(payload[1:])
		_, rest, _ = nextString(rest)
		signature, rest, whole := nextString(rest)
		if whole && len(rest) == 0 && bytes.Equal(key, hostKey) {
			return bytes.Clone(signature)
		}
	}
	return nil
}

// inClear returns the payloads of what a server sent from the start of the
// connection on, up to its NEWKEYS, after which all is encrypted.
func inClear(sent []byte) (payloads [][]byte) {
	packets, ok := afterVersion(sent)
	for ok && !endsInNewKeys(payloads) {
		var payload []byte
		if payload, packets, ok = nextPacket(packets); ok {
			payloads = append(payloads, payload)
		}
	}
	return payloads
}

func endsInNewKeys(payloads [][]byte) bool {
	return len(payloads) > 0 && payloads[len(payloads)-1][0] == msgNewKeys
}

// afterVersion cuts off the server's version and the lines before it.
func afterVersion(sent []byte) ([]byte, bool) {
	for line := range bytes.Lines(sent) {
		sent = sent[len(line):]
		if bytes.HasPrefix(line, []byte("SSH-")) {
			return sent, true
		}
	}
	return nil, false
}

// nextPacket takes a packet apart as it is before encryption (RFC 4253 section
// 6): its length, the padding's, the payload, the padding. A payload is never
// empty.
func nextPacket(b []byte) (payload, rest []byte, ok bool) {
	packet, rest, ok := nextString(b)
	if !ok || len(packet) == 0 {
		return nil, nil, false
	}
	end := len(packet) - int(packet[0])
	if end <= 1 {
		return nil, nil, false
	}
	return packet[1:end], rest, true
}

// nextString takes a string of RFC 4251 section 5 off b. What has no room for
// one has none after it either.
func nextString(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}
