package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The part of WebSockets (RFC 6455) that the bench needs: messages of one frame, and only short ones from the bench.

// upgradeFields ask for a WebSocket. The bench does not check the answer to the key.
const upgradeFields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

// upgrade upgrades the connection to a WebSocket at a target. Fields are lines, each with its line break.
func (v *visitor) upgrade(target, host, fields string) error {
	if err := v.send(requestOf("GET", target, host, upgradeFields+fields, content{})); err != nil {
		return err
	}
	status, body, err := v.receive()
	if err == nil && status != 101 {
		reason, _ := io.ReadAll(body)
		err = fmt.Errorf("upgrade: status %d, want 101: %.200s", status, reason)
	}
	return err
}

const (
	textFrame  = 0x81 // a text message of one frame
	shortFrame = 125  // the most content whose length is in the second byte
	longFrame  = 126  // announces a length in the next two bytes
	maskedBit  = 0x80
	closeCode  = 0x08
)

// frameOf returns a text message as a frame of a client, with a mask of zeros, which changes nothing.
func frameOf(text []byte) []byte {
	if len(text) > shortFrame {
		panic("a message of the bench is short")
	}
	return append([]byte{textFrame, maskedBit | byte(len(text)), 0, 0, 0, 0}, text...)
}

// message reads the next message, text or binary, of at most len(buffer) bytes.
func (v *visitor) message(buffer []byte) ([]byte, error) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(v.reader, head[:]); err != nil {
			return nil, err
		}
		n, code := int(head[1]), head[0]&0x0f
		if n == longFrame {
			if _, err := io.ReadFull(v.reader, head[:]); err != nil {
				return nil, err
			}
			n = int(binary.BigEndian.Uint16(head[:]))
		}
		if n > len(buffer) {
			return nil, fmt.Errorf("a frame of %d bytes, want at most %d", n, len(buffer))
		}
		if _, err := io.ReadFull(v.reader, buffer[:n]); err != nil {
			return nil, err
		}
		switch {
		case code == closeCode:
			return nil, errors.New("the WebSocket was closed")
		case code < closeCode:
			return buffer[:n], nil
		}
	}
}
