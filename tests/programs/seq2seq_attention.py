"""Sequence to sequence with Bahdanau attention, teacher forcing, and greedy decoding."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
from torch.utils.data import DataLoader, SequentialSampler, TensorDataset

SOS_token, EOS_token, MAX_LENGTH = 0, 1, 6
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Lang:
    def __init__(self, name):
        self.name = name
        self.word2index = {}
        self.index2word = {0: "SOS", 1: "EOS"}
        self.n_words = 2

    def addSentence(self, sentence):
        for word in sentence.split(" "):
            if word not in self.word2index:
                self.word2index[word] = self.n_words
                self.index2word[self.n_words] = word
                self.n_words += 1


pairs = [("je suis grand", "i am tall"), ("tu es petit", "you are small"), ("il est grand", "he is tall"), ("je suis petit", "i am small")]
input_lang, output_lang = Lang("fra"), Lang("eng")
for a, b in pairs:
    input_lang.addSentence(a)
    output_lang.addSentence(b)


class EncoderRNN(nn.Module):
    def __init__(self, input_size, hidden_size, dropout_p=0.0):
        super(EncoderRNN, self).__init__()
        self.hidden_size = hidden_size
        self.embedding = nn.Embedding(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True)
        self.dropout = nn.Dropout(dropout_p)

    def forward(self, input):
        return self.gru(self.dropout(self.embedding(input)))


class BahdanauAttention(nn.Module):
    def __init__(self, hidden_size):
        super(BahdanauAttention, self).__init__()
        self.Wa = nn.Linear(hidden_size, hidden_size)
        self.Ua = nn.Linear(hidden_size, hidden_size)
        self.Va = nn.Linear(hidden_size, 1)

    def forward(self, query, keys):
        scores = self.Va(torch.tanh(self.Wa(query) + self.Ua(keys)))
        scores = scores.squeeze(2).unsqueeze(1)
        weights = F.softmax(scores, dim=-1)
        context = torch.bmm(weights, keys)
        return context, weights


class AttnDecoderRNN(nn.Module):
    def __init__(self, hidden_size, output_size):
        super(AttnDecoderRNN, self).__init__()
        self.embedding = nn.Embedding(output_size, hidden_size)
        self.attention = BahdanauAttention(hidden_size)
        self.gru = nn.GRU(2 * hidden_size, hidden_size, batch_first=True)
        self.out = nn.Linear(hidden_size, output_size)

    def forward(self, encoder_outputs, encoder_hidden, target_tensor=None):
        batch_size = encoder_outputs.size(0)
        decoder_input = torch.empty(batch_size, 1, dtype=torch.long, device=device).fill_(SOS_token)
        decoder_hidden = encoder_hidden
        decoder_outputs, attentions = [], []
        for i in range(MAX_LENGTH):
            decoder_output, decoder_hidden, attn_weights = self.forward_step(decoder_input, decoder_hidden, encoder_outputs)
            decoder_outputs.append(decoder_output)
            attentions.append(attn_weights)
            if target_tensor is not None:
                decoder_input = target_tensor[:, i].unsqueeze(1)
            else:
                _, topi = decoder_output.topk(1)
                decoder_input = topi.squeeze(-1).detach()
        decoder_outputs = torch.cat(decoder_outputs, dim=1)
        decoder_outputs = F.log_softmax(decoder_outputs, dim=-1)
        return decoder_outputs, decoder_hidden, torch.cat(attentions, dim=1)

    def forward_step(self, input, hidden, encoder_outputs):
        embedded = self.embedding(input)
        query = hidden.permute(1, 0, 2)
        context, attn_weights = self.attention(query, encoder_outputs)
        output, hidden = self.gru(torch.cat((embedded, context), dim=2), hidden)
        return self.out(output), hidden, attn_weights


def pad(lang, s):
    ids = [lang.word2index[w] for w in s.split(" ")] + [EOS_token]
    return ids + [0] * (MAX_LENGTH - len(ids))


train_data = TensorDataset(torch.LongTensor([pad(input_lang, a) for a, _ in pairs]).to(device), torch.LongTensor([pad(output_lang, b) for _, b in pairs]).to(device))
loader = DataLoader(train_data, sampler=SequentialSampler(train_data), batch_size=2)
encoder, decoder = EncoderRNN(input_lang.n_words, 12).to(device), AttnDecoderRNN(12, output_lang.n_words).to(device)
for i, p in enumerate([*encoder.parameters(), *decoder.parameters()]):
    p.data.copy_(torch.sin(torch.arange(p.numel()) * (0.9 + 0.13 * i)).view_as(p) * 0.35)
encoder_optimizer, decoder_optimizer = optim.Adam(encoder.parameters(), lr=0.02), optim.Adam(decoder.parameters(), lr=0.02)
criterion = nn.NLLLoss()
for epoch in range(1, 41):
    total_loss = 0
    for input_tensor, target_tensor in loader:
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        encoder_outputs, encoder_hidden = encoder(input_tensor)
        decoder_outputs, _, _ = decoder(encoder_outputs, encoder_hidden, target_tensor)
        loss = criterion(decoder_outputs.view(-1, decoder_outputs.size(-1)), target_tensor.view(-1))
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()
        total_loss += loss.item()
    if epoch % 10 == 0:
        print("(%d %d%%) %.3f" % (epoch, epoch / 40 * 100, total_loss / len(loader)))
encoder.eval()
decoder.eval()
for a, b in pairs:
    with torch.no_grad():
        eo, eh = encoder(torch.tensor(pad(input_lang, a), device=device).unsqueeze(0))
        out, _, attn = decoder(eo, eh)
        _, topi = out.topk(1)
        words = []
        for idx in topi.squeeze():
            if idx.item() == EOS_token:
                break
            words.append(output_lang.index2word[idx.item()])
        print(a, "=", b, "<", " ".join(words), tuple(attn.shape))
