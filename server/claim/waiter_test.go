package claim

import "testing"

func TestNewsOfAnEarlierExchangeIsIgnored(t *testing.T) {
	inScene(t, Options{}, func(t *testing.T, s *scene) {
		one := s.session()
		for range 8 { // a pool need not keep what it is given
			stale := s.waiters.get()
			poke(stale.news)
			s.waiters.put(stale)
			v := s.visit("GET")
			v.pending()
			m, _ := s.one(one, nil)
			s.answer(one, m.Exchange, 204, Accepted)
			v.answered(204)
		}
	})
}
